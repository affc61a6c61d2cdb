"""A causal language model and its tokenizer, loaded from a local folder, as training, evaluation and generation use it.

Decides what separates posts for a tokenizer: huggingtweets' `<|endoftext|>` where it is a token, else the tokenizer's
own end of text. Weights come from safetensors only; no code of the model's folder is run.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from tweetbot_api.conditions import Reason
from tweetbot_api.names import END_OF_TEXT
from tweetbot_trainer.errors import TrainerError

_ENCODED_AT_ONCE: Final = 1_000
_LOAD_ERRORS = (OSError, ValueError, KeyError, RuntimeError, SafetensorError)


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageModel:
    """Weights and tokenizer that belong together."""

    model: PreTrainedModel
    """The network, in fp32 on its device; trained in place."""
    tokenizer: PreTrainedTokenizerBase
    """Its tokenizer."""
    separator: str
    """The token that stands between posts."""

    @property
    def separator_id(self) -> int:
        """The separator's number."""
        return int(self.tokenizer.convert_tokens_to_ids(self.separator))  # type: ignore[arg-type]

    @property
    def context(self) -> int | None:
        """Tokens that the model reads at once; None if it does not say."""
        return getattr(self.model.config, "max_position_embeddings", None)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text whose posts are separated by `names.END_OF_TEXT`.

        Works through the posts in portions: the encoding of a large archive at once would take gigabytes.
        """
        before, *posts = text.split(END_OF_TEXT)
        ids = self._encode(before)
        for start in range(0, len(posts), _ENCODED_AT_ONCE):
            portion = posts[start : start + _ENCODED_AT_ONCE]
            ids += self._encode(self.separator + self.separator.join(portion))
        return ids

    def _encode(self, text: str) -> list[int]:
        encoding: Any = self.tokenizer(text, add_special_tokens=False, return_attention_mask=False, verbose=False)
        return list(encoding["input_ids"])


def load_language_model(folder: Path, device: torch.device) -> LanguageModel:
    """Load the folder's model in fp32 onto the device; raise BaseModelUnusable if it is no causal language model."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
        )
    except _LOAD_ERRORS as error:
        raise _unusable(f"it cannot be loaded: {error}") from error
    model, loading = loaded
    if missing := sorted(loading["missing_keys"]):
        raise _unusable(f"weights are missing: {', '.join(missing[:3])}{' …' if len(missing) > 3 else ''}")
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        raise _unusable("its tokenizer has more tokens than the model knows")
    return LanguageModel(model=model.to(device), tokenizer=tokenizer, separator=_separator(tokenizer))


def _separator(tokenizer: PreTrainedTokenizerBase) -> str:
    if END_OF_TEXT in tokenizer.get_vocab():
        return END_OF_TEXT
    if tokenizer.eos_token is None:
        raise _unusable("its tokenizer has no token for the end of a text")
    return str(tokenizer.eos_token)


def _unusable(why: str) -> TrainerError:
    return TrainerError(Reason.BASE_MODEL_UNUSABLE, f"the base model cannot be used: {why}")
