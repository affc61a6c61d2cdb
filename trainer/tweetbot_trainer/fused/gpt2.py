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

WTE, WPE = "transformer.wte.weight", "transformer.wpe.weight"
"""Names of the token and the position embedding."""


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
        leaves = {name: weight.detach().requires_grad_() for name, weight in weights.items() if name not in (WTE, WPE)}
        embedded = self._embed(weights, ids).requires_grad_()
        with torch.enable_grad():
            hidden = self._body(leaves, embedded, num_rows=ids.shape[1], dropout=self._dropout)
        losses, d_hidden, d_wte = self._head(hidden.detach(), weights[WTE], ids, row_weights)
        d_embedded, *rest = torch.autograd.grad(hidden, [embedded, *leaves.values()], grad_outputs=d_hidden)
        gradients = dict(zip(leaves, rest, strict=True))
        gradients[WTE] = _add_rows(d_wte, ids, d_embedded)
        gradients[WPE] = _position_gradient(d_embedded, ids.shape, weights[WPE])
        return LossesAndGradients(losses, {name: gradients[name] for name in weights})

    @torch.no_grad()
    def losses(self, weights: Mapping[str, Tensor], ids: Tensor, token_weights: Tensor) -> Tensor:
        """Return each model's weighted sum of its tokens' losses `[K]`, without dropout.

        `token_weights` `[K, rows, tokens]` is the weight of foreseeing the token that follows; 0 where none does.
        """
        embedded = self._embed(weights, ids)
        hidden = self._body(weights, embedded, num_rows=ids.shape[1], dropout=False)
        targets = ids.roll(-1, dims=2).flatten(1)
        losses = torch.empty(len(ids), device=ids.device)
        for models in _portions(hidden, weights[WTE]):
            logits = head(weights[WTE][models], hidden[models], self._dtype)
            losses[models] = _cross_entropy(logits, targets[models], token_weights[models].flatten(1))[0]
        return losses

    def _embed(self, weights: Mapping[str, Tensor], ids: Tensor) -> Tensor:
        """Return the sum of token and position embeddings, `[K, rows · tokens, width]`."""
        num_models, _, num_tokens = ids.shape
        models = torch.arange(num_models, device=ids.device)[:, None, None]
        embedded = weights[WTE].detach()[models, ids] + weights[WPE].detach()[:, None, :num_tokens]
        return embedded.flatten(1, 2)

    def _body(self, weights: Mapping[str, Tensor], embedded: Tensor, *, num_rows: int, dropout: bool) -> Tensor:
        x = F.dropout(embedded, self._config.embd_pdrop, dropout)
        for layer in range(self._config.n_layer):
            of_layer = f"transformer.h.{layer}."
            normed = layer_norm(weights, f"{of_layer}ln_1", x, self._config)
            mixed = self._attention(weights, of_layer, normed, num_rows=num_rows, dropout=dropout)
            x = x + F.dropout(mixed, self._config.resid_pdrop, dropout)
            normed = layer_norm(weights, f"{of_layer}ln_2", x, self._config)
            x = x + F.dropout(feed_forward(weights, of_layer, normed, self._dtype), self._config.resid_pdrop, dropout)
        return layer_norm(weights, "transformer.ln_f", x, self._config)

    def _attention(
        self, weights: Mapping[str, Tensor], of_layer: str, x: Tensor, *, num_rows: int, dropout: bool
    ) -> Tensor:
        """Return causal self-attention over each row, `[K, rows · tokens, width]`."""
        num_models, _, width = x.shape
        num_heads = self._config.n_head
        qkv = linear(weights, f"{of_layer}attn.c_attn", x, self._dtype)
        heads = qkv.view(num_models * num_rows, -1, 3, num_heads, width // num_heads)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        probability = self._config.attn_pdrop if dropout else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, dropout_p=probability, is_causal=True)
        merged = mixed.transpose(1, 2).reshape(x.shape)
        return linear(weights, f"{of_layer}attn.c_proj", merged, self._dtype)

    def _head(self, hidden: Tensor, wte: Tensor, ids: Tensor, row_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return losses `[K]` and the fp32 gradients by `hidden` and by the tied embedding.

        Both gradients are known as soon as the softmax is, so the logits of all models never exist at once.
        """
        targets, weights = _targets(ids, row_weights)
        losses = torch.empty(len(ids), device=ids.device)
        d_hidden, d_wte = torch.empty_like(hidden), torch.empty_like(wte)
        for models in _portions(hidden, wte):
            states, tokens = hidden[models].to(self._dtype), wte[models].detach().to(self._dtype)
            logits = torch.bmm(states, tokens.mT).float()
            losses[models], d_logits = _cross_entropy(logits, targets[models], weights[models])
            d_logits = d_logits.to(self._dtype)
            d_hidden[models] = torch.bmm(d_logits, tokens)
            d_wte[models] = torch.bmm(d_logits.mT, states)
        return losses, d_hidden, d_wte


def _portions(hidden: Tensor, wte: Tensor) -> list[slice]:
    """Return the models whose logits may be in memory together."""
    at_once = max(1, LOGITS_AT_ONCE // (hidden.shape[1] * wte.shape[1]))
    return [slice(start, start + at_once) for start in range(0, len(hidden), at_once)]


def linear(weights: Mapping[str, Tensor], name: str, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return `x [K, rows, in]` through the layer of this name, `[K, rows, out]`; transformers calls it Conv1D."""
    weight, bias = weights[f"{name}.weight"].to(dtype), weights[f"{name}.bias"].to(dtype)
    return torch.baddbmm(bias[:, None], x.to(dtype), weight)


def layer_norm(weights: Mapping[str, Tensor], name: str, x: Tensor, config: GPT2Config) -> Tensor:
    """Return `x [K, rows, width]` normalised, with each model's own scale and shift."""
    normed = F.layer_norm(x, x.shape[-1:], eps=config.layer_norm_epsilon)
    return torch.addcmul(weights[f"{name}.bias"][:, None], normed, weights[f"{name}.weight"][:, None])


def head(wte: Tensor, hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the fp32 logits `[K, rows, vocabulary]` of `hidden [K, rows, width]`."""
    return torch.bmm(hidden.to(dtype), wte.to(dtype).mT).float()


def feed_forward(weights: Mapping[str, Tensor], of_layer: str, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the layer's two-step network applied to `x [K, rows, width]`."""
    inner = F.gelu(linear(weights, f"{of_layer}mlp.c_fc", x, dtype), approximate="tanh")
    return linear(weights, f"{of_layer}mlp.c_proj", inner, dtype)


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
