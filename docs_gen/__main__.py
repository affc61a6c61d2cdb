"""Write every file that is generated: `python -m docs_gen [--check]`, in the repository's root.

With --check nothing is written; the command names each file that is out of date and exits with 1.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from docs_gen.alerts import render_alerts
from docs_gen.chart_crd import render_crd_template
from docs_gen.chart_readme import render_chart_readme
from docs_gen.chart_rules import render_rules
from docs_gen.chart_secret_policy import render_batch_secret_policy, render_secret_policy
from docs_gen.chart_values import render_values_schema
from docs_gen.dashboard import render_dashboard
from docs_gen.life_cycle import render_life_cycle
from docs_gen.metrics import render_metrics
from docs_gen.reasons import render_reasons
from docs_gen.reference import render_reference
from tweetbot_api.crd import TWEETBOT, TWEETBOT_BATCH, render

ROOT = Path(__file__).resolve().parent.parent
CHART = Path("charts/tweetbot-operator")
GENERATED: dict[Path, Callable[[], str]] = {
    Path("crds/tweetbots.yaml"): lambda: render(TWEETBOT),
    Path("crds/tweetbotbatches.yaml"): lambda: render(TWEETBOT_BATCH),
    CHART / "templates/crd.yaml": lambda: render_crd_template(TWEETBOT),
    CHART / "templates/crd-batch.yaml": lambda: render_crd_template(TWEETBOT_BATCH),
    CHART / "templates/_rules.tpl": render_rules,
    CHART / "templates/secretpolicy.yaml": render_secret_policy,
    CHART / "templates/secretpolicy-batch.yaml": render_batch_secret_policy,
    CHART / "templates/prometheusrule.yaml": render_alerts,
    CHART / "files/dashboard.json": render_dashboard,
    CHART / "values.schema.json": render_values_schema,
    CHART / "README.md": lambda: render_chart_readme(ROOT / CHART / "values.yaml"),
    Path("docs/life-cycle.md"): render_life_cycle,
    Path("docs/metrics.md"): render_metrics,
    Path("docs/reference.md"): lambda: render_reference(TWEETBOT),
    Path("docs/reference-batch.md"): lambda: render_reference(TWEETBOT_BATCH),
    Path("docs/reasons.md"): render_reasons,
}


def stale_files(root: Path) -> dict[Path, str]:
    """Return the files whose text is not what it should be, with what it should be."""
    texts = {root / path: make() for path, make in GENERATED.items()}
    return {path: text for path, text in texts.items() if not path.exists() or path.read_text() != text}


def main() -> int:
    """Write or check; return the exit status."""
    parser = argparse.ArgumentParser(prog="docs_gen", description="Write every file that is generated.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    arguments = parser.parse_args()
    stale = stale_files(ROOT)
    for path, text in stale.items():
        if arguments.check:
            print(f"{path.relative_to(ROOT)} is out of date; run `make generate`", file=sys.stderr)
        else:
            path.write_text(text)
            print(f"[generate] {path.relative_to(ROOT)}")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
