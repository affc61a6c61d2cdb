"""A GPT-2 so small that it trains in seconds, and a dataset for it as the prepare half stores it."""

import hashlib
import io
import json

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.factories import make_sentences
from tweetbot_api.names import DATASET_INFO, DATASET_POSTS, END_OF_TEXT
from tweetbot_api.status import Dataset, HandleCounts
from tweetbot_trainer.dataset import DatasetInfo, write_posts

CONTEXT = 128


def save_tiny_gpt2(folder, *, separator=END_OF_TEXT, dropout=0.0, layers=2, seed=0):
    """Save a GPT-2 of random weights with a byte-level tokenizer; return the folder."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[separator],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(make_sentences(200), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=separator, eos_token=separator)
    torch.manual_seed(seed)
    config = GPT2Config(
        vocab_size=len(fast), n_positions=CONTEXT, n_embd=32, n_layer=layers, n_head=2,
        resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout,
        bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


def store_dataset(store, posts_by_handle, *, preprocess_url=None, display_names=None):
    """Put the posts into the store as the prepare half does."""
    file = io.BytesIO()
    write_posts(posts_by_handle, file)
    data = file.getvalue()
    info = DatasetInfo(
        data=[
            HandleCounts(
                handle=handle,
                display_name=(display_names or {}).get(handle),
                downloaded=len(texts) + 3,
                retweets=2,
                short=1,
                kept=len(texts),
            )
            for handle, texts in posts_by_handle.items()
        ],
        dataset=Dataset(
            characters=sum(len(text) for texts in posts_by_handle.values() for text in texts),
            tokens=1,
            sha256=hashlib.sha256(data).hexdigest(),
        ),
        seed=7,
        preprocess_url=preprocess_url,
    )
    store.write_bytes(DATASET_POSTS, data)
    store.write_bytes(DATASET_INFO, json.dumps(info.to_wire()).encode())
    return info
