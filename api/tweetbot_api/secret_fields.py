"""Which fields of a spec name a Secret? Found in the models, so that none can be forgotten where it matters."""

from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel

from tweetbot_api.spec.fields import SecretReference
from tweetbot_api.spec.tweetbot import TweetBotSpec

Path = tuple[str, ...]


def secret_paths(model: type[BaseModel] = TweetBotSpec, above: Path = ()) -> Iterator[Path]:
    """Yield the path, below `spec` and by the names in YAML, of each field that is a SecretReference.

    Raises TypeError for one inside a list or a map, which the admission policy could not follow.
    """
    for name, field in model.model_fields.items():
        path = (*above, field.alias or name)
        for kind in _models_in(field.annotation):
            if kind is SecretReference:
                yield path
            else:
                yield from secret_paths(kind, path)


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation such as `Source | None` names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in get_args(annotation):
        for model in _models_in(argument):
            if getattr(annotation, "__origin__", None) in {list, dict} and any(secret_paths(model)):
                raise TypeError(f"a Secret in a list or map is not guarded: {annotation}")
            yield model
