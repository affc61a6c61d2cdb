"""The command `tweetbot`: a run on this machine, a Job in the cluster, a look into a file of posts.

Everything heavy is imported by the command that needs it. The only place that ends the process.
"""

import json
import os
import secrets
import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer

from tweetbot_api.exitcodes import ExitCode
from tweetbot_api.names import MANIFEST_DIR, MANIFEST_FILE, JobKind
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.interruption import SIGTERM_EXIT_CODE, Interrupted

app = typer.Typer(
    help="Train a bot that writes like a person's posts.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
job_app = typer.Typer(help="Run one Job of the operator, inside its pod.", no_args_is_help=True)
app.add_typer(job_app, name="job")

ManifestOption = Annotated[Path, typer.Option("--manifest", help="The run manifest that the operator wrote.")]
EndpointOption = Annotated[str | None, typer.Option(help="Address of an S3-compatible store; without it, AWS.")]
_MANIFEST = Path(MANIFEST_DIR, MANIFEST_FILE)


@app.command()
def train(
    file: Annotated[Path, typer.Option("--file", "-f", help="A TweetBot as YAML.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for model, card, pictures and manifest.")],
    prompt: Annotated[list[str] | None, typer.Option(help="Beginning of the sample posts; may be repeated.")] = None,
    sources: Annotated[
        Path | None, typer.Option(help="YAML with addresses and prices of sources, as in the chart's `sources`.")
    ] = None,
) -> None:
    """Prepare, train and publish a bot on this machine, without a cluster."""
    from rich.console import Console

    from tweetbot_trainer import console as view
    from tweetbot_trainer.local_run import claim_output, load_source_access, load_tweetbot, run_config_of, run_half

    config = run_config_of(load_tweetbot(file, prompt or ()), load_source_access(sources) if sources else None)
    claim_output(config, output)
    console = Console()
    with view.ConsoleReporter(console) as reporter:
        prepared = run_half(config, "prepare", output, reporter)
        trained = run_half(config, "train", output, reporter)
    console.print(view.data_table(prepared.data or []))
    if trained.evaluation:
        console.print(view.evaluation_table(trained.evaluation))
        console.print(view.writing_table(trained.evaluation))
    view.print_samples(console, trained.samples or [])
    console.print(f"The model is in {output / 'model'}", highlight=False)


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="An archive from X or Mastodon, or a file of posts of any known shape.")],
    handle: Annotated[str, typer.Option(help="The account that the posts belong to.")],
    output: Annotated[Literal["json", "text"], typer.Option("--output", "-o", help="How to print.")] = "text",
    kept: Annotated[Path | None, typer.Option(help="File for the kept texts, one JSON string per line.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="What a column holds, as in spec.source.files.columns: text=body.")
    ] = None,
) -> None:
    """Count what a file of posts would give, tell whether it is enough, and print a hash of the kept texts."""
    from tweetbot_api.spec.handles import normalize_handles
    from tweetbot_trainer.inspection import inspect_file, parse_columns

    name = normalize_handles([handle])[0]
    facts = inspect_file(path, name, parse_columns(column or ()), kept).model_dump(by_alias=True)
    if output == "json":
        typer.echo(json.dumps(facts, ensure_ascii=False))
    else:
        typer.echo("\n".join(f"{name}: {value}" for name, value in facts.items()))


@app.command()
def generate(
    model: Annotated[str, typer.Argument(help="Folder or s3:// address of a run or of its model.")],
    prompt: Annotated[list[str] | None, typer.Option(help="Beginning of the posts; may be repeated.")] = None,
    count: Annotated[int, typer.Option(min=1, max=10_000, help="Posts for each prompt.")] = 5,
    seed: Annotated[int | None, typer.Option(min=0, max=2**31 - 1, help="The same seed writes the same.")] = None,
    endpoint: EndpointOption = None,
    output: Annotated[Literal["json", "text"], typer.Option("--output", "-o", help="How to print.")] = "text",
) -> None:
    """Let a trained bot write posts."""
    from tweetbot_trainer.console import posts_bar
    from tweetbot_trainer.run_folder import fetch_model
    from tweetbot_trainer.writer import posts_by_saved_model

    prompts = prompt or [""]
    chosen = secrets.randbelow(2**31) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="tweetbot-") as folder:
        path = fetch_model(model, Path(folder), endpoint)
        posts = posts_bar(posts_by_saved_model(path, prompts, count, chosen), count * len(prompts))
        samples = [{"prompt": text, "posts": list(islice(posts, count))} for text in prompts]
    if output == "json":
        typer.echo(json.dumps({"model": model, "seed": chosen, "samples": samples}, ensure_ascii=False))
        return
    typer.echo("\n".join(post for sample in samples for post in sample["posts"]))
    typer.echo(f"seed {chosen}", err=True)


@app.command()
def card(
    run: Annotated[str, typer.Argument(help="Folder or s3:// address of a finished run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for card and pictures.")],
    endpoint: EndpointOption = None,
) -> None:
    """Write the card and the pictures of a finished run anew, into another folder."""
    from tweetbot_trainer.run_folder import open_run, render_again

    for path in render_again(open_run(run, endpoint), output):
        typer.echo(path)


@job_app.command("prepare")
def job_prepare(manifest: ManifestOption = _MANIFEST) -> None:
    """Fetch, clean and count the posts of the manifest's bots."""
    _run_job("prepare", manifest)


@job_app.command("train")
def job_train(manifest: ManifestOption = _MANIFEST) -> None:
    """Train, evaluate and publish the manifest's bots."""
    _run_job("train", manifest)


@job_app.command("purge")
def job_purge(manifest: ManifestOption = _MANIFEST) -> None:
    """Delete everything that the manifest's bots have stored."""
    _run_job("purge", manifest)


@job_app.command("list")
def job_list(manifest: ManifestOption = _MANIFEST) -> None:
    """Read the handles of a TweetBotBatch from a file and hand them to the operator."""
    from tweetbot_trainer.handle_list import load_list_manifest, run_list_job
    from tweetbot_trainer.job import JobPaths
    from tweetbot_trainer.job_log import log_to_stdout

    log_to_stdout()
    raise typer.Exit(run_list_job(load_list_manifest(manifest), JobPaths(manifest=manifest)))


def _run_job(kind: JobKind, manifest: Path) -> None:
    from tweetbot_trainer.follower import follow
    from tweetbot_trainer.job import Job, JobPaths, load_manifest
    from tweetbot_trainer.job_log import log_to_stdout
    from tweetbot_trainer.launch import Rendezvous, launch
    from tweetbot_trainer.stages import load_together

    log_to_stdout()
    rendezvous = Rendezvous.from_environment(os.environ) if kind == "train" else None
    if rendezvous:
        raise typer.Exit(launch([sys.executable, *sys.argv], rendezvous, os.environ))
    paths = JobPaths(manifest=manifest)
    run_manifest, rank = load_manifest(manifest, kind), int(os.environ.get("RANK", "0"))
    if rank > 0:
        raise typer.Exit(follow(run_manifest, paths.work_dir / f"process-{rank}"))
    is_shared = int(os.environ.get("WORLD_SIZE", "1")) > 1
    raise typer.Exit(Job(run_manifest, paths, load_together=load_together, is_shared=is_shared).run())


def main() -> None:
    """Run the command line and end the process with the exit code of the contract."""
    try:
        app()
    except TrainerError as error:
        typer.echo(f"{error.reason}: {error.message}", err=True)
        sys.exit(error.exit_code)
    except Interrupted as interruption:
        typer.echo("stopped by SIGTERM; the same command goes on where it was", err=True)
        sys.exit(ExitCode.STOPPED_WITH_CHECKPOINT if interruption.has_checkpoint else SIGTERM_EXIT_CODE)
    except MemoryError:
        typer.echo("the process ran out of memory", err=True)
        sys.exit(ExitCode.TRANSIENT)
