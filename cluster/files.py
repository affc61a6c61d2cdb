"""Write configuration: whole or not at all, and only when it differs."""

from pathlib import Path


def write(file: Path, content: str, mode: int = 0o644) -> Path:
    """Write a file unless it says that already: kube-proxy ends itself when its configuration is touched."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text() != content:
        unfinished = file.with_name(f".{file.name}.unfinished")
        unfinished.touch(mode=mode)
        unfinished.write_text(content)
        unfinished.rename(file)
    return file
