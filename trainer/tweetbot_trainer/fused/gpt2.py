"""GPT-2 for several sets of weights at once: forward pass, losses and gradients of K models in one pass of kernels.

The network is that of `transformers.GPT2LMHeadModel` (Radford et al. 2019), each matrix product batched over the models
(`baddbmm`), attention with the models folded into its batch, as HFTA (Wang et al. 2021, arXiv:2102.02344) fuses models
horizontally. No operation mixes two models, so a neighbour, even one whose loss is NaN, changes no bit of a model.

Under bf16 the matrix products run in bf16; layer norms, residuals and the loss in fp32, as under PyTorch's autocast.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

LOGITS_AT_ONCE: Final = 1 << 26
"""Logits in memory at once: the head works through the models in portions of this size, or one by one."""

_WTE, _WPE = "transformer.wte.weight", "transformer.wpe.weight"


@dataclass(frozen=True, slots=True)
class LossesAndGradients:
    """What one pass gives for K models."""

    losses: Tensor
    """`[K]`, in nats per token: the weighted mean of the rows' losses."""
    gradients: dict[str, Tensor]
    """`[K, *shape]` in fp32, of each model's own loss."""


def why_not_fusible(model: PreTrainedModel) -> str | None:
    """Return why models of this kind cannot be trained fused, None if they can."""
    config = model.config
    if not isinstance(model, GPT2LMHeadModel) or not isinstance(config, GPT2Config):
        return f"{type(model).__name__} is no GPT-2"
    plain = GPT2Config()
    for name in (
        "activation_function", "add_cross_attention", "reorder_and_upcast_attn", "scale_attn_by_inverse_layer_idx",
        "scale_attn_weights", "tie_word_embeddings",
    ):  # fmt: skip
        if getattr(config, name) != getattr(plain, name):
            return f"its {name} is {getattr(config, name)}"
    return None


def trainable_parameters(model: GPT2LMHeadModel) -> dict[str, Tensor]:
    """Return the parameters by the names of the saved model; the tied head counts once, as the embedding."""
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


class StackedGPT2:
    """The network of one configuration, applied to stacked weights; holds no weights itself."""

    def __init__(self, config: GPT2Config, compute_dtype: torch.dtype, *, dropout: bool = True) -> None:
        self._config = config
        self._dtype = compute_dtype
        self._dropout = dropout

    def losses_and_gradients(
        self, weights: Mapping[str, Tensor], ids: Tensor, row_weights: Tensor
    ) -> LossesAndGradients:
        """Return the K losses and their gradients.

        `weights` are views `[K, *shape]` in fp32, `ids` `[K, rows, tokens]`, `row_weights` `[K, rows]`: each row's
        share in its model's loss, 0 for a row that is not there.
        """
        leaves = {
            name: weight.detach().requires_grad_() for name, weight in weights.items() if name not in (_WTE, _WPE)
        }
        embedded = self._embed(weights, ids).requires_grad_()
        with torch.enable_grad():
            hidden = self._body(leaves, embedded, num_rows=ids.shape[1])
        losses, d_hidden, d_wte = self._head(hidden.detach(), weights[_WTE], ids, row_weights)
        d_embedded, *rest = torch.autograd.grad(hidden, [embedded, *leaves.values()], grad_outputs=d_hidden)
        gradients = dict(zip(leaves, rest, strict=True))
        gradients[_WTE] = _add_rows(d_wte, ids, d_embedded)
        gradients[_WPE] = _position_gradient(d_embedded, ids.shape, weights[_WPE])
        return LossesAndGradients(losses, {name: gradients[name] for name in weights})

    def _embed(self, weights: Mapping[str, Tensor], ids: Tensor) -> Tensor:
        """Return the sum of token and position embeddings, `[K, rows · tokens, width]`."""
        num_models, _, num_tokens = ids.shape
        models = torch.arange(num_models, device=ids.device)[:, None, None]
        embedded = weights[_WTE].detach()[models, ids] + weights[_WPE].detach()[:, None, :num_tokens]
        return embedded.flatten(1, 2)

    def _body(self, weights: Mapping[str, Tensor], embedded: Tensor, *, num_rows: int) -> Tensor:
        x = self._drop(embedded, self._config.embd_pdrop)
        for layer in range(self._config.n_layer):
            of_layer = f"transformer.h.{layer}."
            normed = self._norm(weights, f"{of_layer}ln_1", x)
            x = x + self._drop(self._attention(weights, of_layer, normed, num_rows), self._config.resid_pdrop)
            normed = self._norm(weights, f"{of_layer}ln_2", x)
            inner = F.gelu(self._linear(weights, f"{of_layer}mlp.c_fc", normed), approximate="tanh")
            x = x + self._drop(self._linear(weights, f"{of_layer}mlp.c_proj", inner), self._config.resid_pdrop)
        return self._norm(weights, "transformer.ln_f", x)

    def _attention(self, weights: Mapping[str, Tensor], of_layer: str, x: Tensor, num_rows: int) -> Tensor:
        """Return causal self-attention over each row, `[K, rows · tokens, width]`."""
        num_models, _, width = x.shape
        num_heads = self._config.n_head
        qkv = self._linear(weights, f"{of_layer}attn.c_attn", x)
        heads = qkv.view(num_models * num_rows, -1, 3, num_heads, width // num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        dropout = self._config.attn_pdrop if self._dropout else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout, is_causal=True)
        merged = mixed.transpose(1, 2).reshape(x.shape)
        return self._linear(weights, f"{of_layer}attn.c_proj", merged)

    def _linear(self, weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
        weight, bias = weights[f"{name}.weight"].to(self._dtype), weights[f"{name}.bias"].to(self._dtype)
        return torch.baddbmm(bias[:, None], x.to(self._dtype), weight)

    def _norm(self, weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
        normed = F.layer_norm(x, x.shape[-1:], eps=self._config.layer_norm_epsilon)
        return torch.addcmul(weights[f"{name}.bias"][:, None], normed, weights[f"{name}.weight"][:, None])

    def _drop(self, x: Tensor, probability: float) -> Tensor:
        return F.dropout(x, probability) if self._dropout else x

    def _head(self, hidden: Tensor, wte: Tensor, ids: Tensor, row_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return losses `[K]` and the fp32 gradients by `hidden` and by the tied embedding.

        Both gradients are known as soon as the softmax is, so the logits of all models never exist at once.
        """
        targets, weights = _targets(ids, row_weights)
        losses = torch.empty(len(ids), device=ids.device)
        d_hidden, d_wte = torch.empty_like(hidden), torch.empty_like(wte)
        portion = max(1, LOGITS_AT_ONCE // (hidden.shape[1] * wte.shape[1]))
        for start in range(0, len(ids), portion):
            models = slice(start, start + portion)
            states, tokens = hidden[models].to(self._dtype), wte[models].detach().to(self._dtype)
            logits = torch.bmm(states, tokens.mT).float()
            losses[models], d_logits = _cross_entropy(logits, targets[models], weights[models])
            d_logits = d_logits.to(self._dtype)
            d_hidden[models] = torch.bmm(d_logits, tokens)
            d_wte[models] = torch.bmm(d_logits.mT, states)
        return losses, d_hidden, d_wte


def _targets(ids: Tensor, row_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return each token's successor and its weight, `[K, rows · tokens]`; the last of a row predicts nothing."""
    targets = ids.roll(-1, dims=2)
    weights = (row_weights / (ids.shape[2] - 1))[:, :, None].repeat(1, 1, ids.shape[2])
    weights[:, :, -1] = 0
    return targets.flatten(1), weights.flatten(1)


def _cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weighted sum of the tokens' losses `[K]` and its gradient by the logits, which it overwrites."""
    places, weights = targets[:, :, None], weights[:, :, None]
    largest, chosen = logits.amax(2, keepdim=True), logits.gather(2, places)
    exponentials = logits.sub_(largest).exp_()
    sums = exponentials.sum(2, keepdim=True)
    losses = (sums.log() + largest - chosen) * weights
    gradient = exponentials.mul_(weights / sums).scatter_add_(2, places, -weights)
    return losses.sum((1, 2)), gradient


def _add_rows(gradient: Tensor, ids: Tensor, rows: Tensor) -> Tensor:
    """Add the gradients of the embedded tokens to that of the table `[K, vocabulary, width]`, always in one order."""
    models = torch.arange(len(ids), device=ids.device)[:, None]
    if gradient.device.type == "cuda":
        return gradient.index_put_((models, ids.flatten(1)), rows, accumulate=True)
    places = (models * gradient.shape[1] + ids.flatten(1)).flatten()
    gradient.flatten(0, 1).index_add_(0, places, rows.flatten(0, 1))
    return gradient


def _position_gradient(d_embedded: Tensor, ids_shape: torch.Size, wpe: Tensor) -> Tensor:
    num_models, num_rows, num_tokens = ids_shape
    gradient = torch.zeros_like(wpe)
    gradient[:, :num_tokens] = d_embedded.view(num_models, num_rows, num_tokens, -1).sum(1)
    return gradient
