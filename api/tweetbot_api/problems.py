"""What is wrong with a document, told to whoever wrote it."""

from pydantic import ValidationError


def tell_problems(error: ValidationError) -> list[str]:
    """Return each thing that is wrong, after the path of its field."""
    return [f"{'.'.join(map(str, item['loc'])) or 'document'}: {item['msg']}" for item in error.errors()]
