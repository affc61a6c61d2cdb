"""Posts written by several GPT-2s at once: one token of every post of every model in each pass.

A draw is a point of the unit interval that falls onto the tokens in the order of their probability. The points come
from each model's own seed, so what a bot writes depends neither on its company nor on how many posts are written.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor
from transformers import GPT2Config

from tweetbot_trainer.fused.gpt2 import WPE, WTE, feed_forward, head, layer_norm, linear

POSTS_AT_ONCE: Final = 1_024
"""Posts of all models together that are written in one go: their keys and values are in memory together."""
_STEPS_PER_LOOK: Final = 16
"""Tokens between two looks at whether all posts have ended: each waits for the device."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a token is drawn; the filters are transformers' `TopKLogitsWarper` and `TopPLogitsWarper`, in that order."""

    temperature: float
    """Below 1 the likely tokens become likelier."""
    top_k: int
    """Only so many of the likeliest tokens are drawn from."""
    top_p: float
    """Of these, only the likeliest that together have this probability."""
    min_length: int
    """Tokens before which no post ends, prompt included."""
    max_length: int
    """Tokens at which each ends, prompt included."""
    end_id: int
    """The token that ends a post."""


class StackedWriter:
    """Writes with stacked weights of one configuration."""

    def __init__(self, config: GPT2Config, compute_dtype: torch.dtype) -> None:
        self._config = config
        self._dtype = compute_dtype

    @torch.inference_mode()
    def write(
        self,
        weights: Mapping[str, Tensor],
        prompts: Sequence[Sequence[Sequence[int]]],
        seeds: Sequence[int],
        sampling: Sampling,
        between: Callable[[], None] = lambda: None,
    ) -> list[list[list[int]]]:
        """Return for each of the K models the continuation of each of its prompts, without prompt and end token.

        `prompts[k]` are the token ids of each post to be written, equally many posts for each model, at least one
        token each. `between` is called between two tokens, and may raise to end the writing.
        """
        num_posts = len(prompts[0])
        points = torch.stack([_points(seed, num_posts, sampling.max_length) for seed in seeds])
        at_once = max(1, POSTS_AT_ONCE // len(prompts))
        written: list[list[list[int]]] = [[] for _ in prompts]
        for start in range(0, num_posts, at_once):
            part = slice(start, start + at_once)
            posts = self._write(weights, [of_model[part] for of_model in prompts], points[:, part], sampling, between)
            for of_model, more in zip(written, posts, strict=True):
                of_model += more
        return written

    def _write(
        self,
        weights: Mapping[str, Tensor],
        prompts: Sequence[Sequence[Sequence[int]]],
        points: Tensor,
        sampling: Sampling,
        between: Callable[[], None],
    ) -> list[list[list[int]]]:
        device = weights[WTE].device
        points = points.to(device)
        ids, lengths = (each.to(device) for each in _pad(prompts, sampling))
        has_ended = torch.zeros(lengths.shape, dtype=torch.bool, device=device)
        cache = _Cache.empty(self._config, lengths.numel(), sampling.max_length, self._dtype, device)
        for position in range(sampling.max_length - 1):
            between()
            logits = self._logits(weights, ids[:, :, position], position, cache)
            drawn = _draw(logits, points[:, :, position], sampling, may_end=position + 1 >= sampling.min_length)
            is_written = position + 1 >= lengths
            drawn = torch.where(has_ended, sampling.end_id, drawn)
            ids[:, :, position + 1] = torch.where(is_written, drawn, ids[:, :, position + 1])
            has_ended |= is_written & (drawn == sampling.end_id)
            if position % _STEPS_PER_LOOK == 0 and bool(has_ended.all()):
                break
        return [
            [_until_end(row[len(prompt) :], sampling.end_id) for row, prompt in zip(rows, of_model, strict=True)]
            for rows, of_model in zip(ids.tolist(), prompts, strict=True)
        ]

    def _logits(self, weights: Mapping[str, Tensor], ids: Tensor, position: int, cache: "_Cache") -> Tensor:
        """Return the logits `[K, rows, vocabulary]` behind the tokens `[K, rows]` at this position."""
        models = torch.arange(len(ids), device=ids.device)[:, None]
        x = weights[WTE][models, ids] + weights[WPE][:, None, position]
        for layer in range(self._config.n_layer):
            of_layer = f"transformer.h.{layer}."
            normed = layer_norm(weights, f"{of_layer}ln_1", x, self._config)
            query, key, value = linear(weights, f"{of_layer}attn.c_attn", normed, self._dtype).chunk(3, dim=2)
            mixed = cache.attend(layer, position, query, key, value)
            x = x + linear(weights, f"{of_layer}attn.c_proj", mixed, self._dtype)
            normed = layer_norm(weights, f"{of_layer}ln_2", x, self._config)
            x = x + feed_forward(weights, of_layer, normed, self._dtype)
        return head(weights[WTE], layer_norm(weights, "transformer.ln_f", x, self._config), self._dtype)


@dataclass(frozen=True, slots=True)
class _Cache:
    """Keys and values of the tokens so far, `[layers, K · rows, heads, tokens, width of a head]`."""

    keys: Tensor
    values: Tensor

    @classmethod
    def empty(
        cls, config: GPT2Config, num_posts: int, num_tokens: int, dtype: torch.dtype, device: torch.device
    ) -> "_Cache":
        width = config.n_embd // config.n_head
        keys = torch.empty(config.n_layer, num_posts, config.n_head, num_tokens, width, dtype=dtype, device=device)
        return cls(keys, torch.empty_like(keys))

    def attend(self, layer: int, position: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Take in one token of each row and return what it attends to, `[K, rows, width]`."""
        _, num_posts, num_heads, _, width = self.keys.shape
        shape = query.shape
        query, key, value = (each.reshape(num_posts, num_heads, 1, width) for each in (query, key, value))
        self.keys[layer, :, :, position] = key[:, :, 0]
        self.values[layer, :, :, position] = value[:, :, 0]
        past = slice(position + 1)
        mixed = F.scaled_dot_product_attention(query, self.keys[layer, :, :, past], self.values[layer, :, :, past])
        return mixed.reshape(shape)


def _pad(prompts: Sequence[Sequence[Sequence[int]]], sampling: Sampling) -> tuple[Tensor, Tensor]:
    """Return the prompts as `[K, posts, most tokens]`, filled up with the end token, and their lengths `[K, posts]`."""
    lengths = torch.tensor([[len(prompt) for prompt in of_model] for of_model in prompts])
    ids = torch.full((*lengths.shape, sampling.max_length), sampling.end_id)
    for model, of_model in enumerate(prompts):
        for post, prompt in enumerate(of_model):
            ids[model, post, : len(prompt)] = torch.tensor(prompt)
    return ids, lengths


def _points(seed: int, num_rows: int, num_tokens: int) -> Tensor:
    """Return points of [0, 1) for each row and token; the first rows are the same however many there are."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(num_rows, num_tokens, generator=generator)


def _draw(logits: Tensor, points: Tensor, sampling: Sampling, *, may_end: bool) -> Tensor:
    """Return one token id of each row, `[K, rows]`."""
    if not may_end:
        logits[:, :, sampling.end_id] = -torch.inf
    likeliest, ids = (logits / sampling.temperature).topk(min(sampling.top_k, logits.shape[2]), dim=2)
    probabilities = likeliest.softmax(2)
    before = probabilities.cumsum(2) - probabilities
    kept = torch.where(before < sampling.top_p, probabilities, 0)
    reached = kept.cumsum(2)
    chosen = (reached <= points[:, :, None] * reached[:, :, -1:]).sum(2, keepdim=True)
    last = (kept > 0).sum(2, keepdim=True) - 1
    return ids.gather(2, torch.minimum(chosen, last)).squeeze(2)


def _until_end(ids: list[int], end_id: int) -> list[int]:
    return ids[: ids.index(end_id)] if end_id in ids else ids
