"""Hypothesis strategies for the contract: any value that a user, or the trainer, may send."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from tweetbot_api.messages import BotOutcome
from tweetbot_api.spec.cleaning import Cleaning
from tweetbot_api.spec.fields import SecretReference
from tweetbot_api.spec.generation import Generation
from tweetbot_api.spec.output import HuggingFaceOutput, Output, S3Encryption, S3Output, Tracking, WandbTracking
from tweetbot_api.spec.resources import Resources, Toleration
from tweetbot_api.spec.source import ArchiveSource, BlueskySource, Columns, FilesSource, MastodonSource, Source, XSource
from tweetbot_api.spec.training import BaseModelReference, DeepSpeed, EarlyStopping, Lora, Training
from tweetbot_api.spec.tweetbot import TweetBotSpec
from tweetbot_api.status import Dataset, Evaluation, Failure, HandleCounts, HuggingFaceModel, WandbRuns


def optional(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.none() | strategy


def matching(pattern: str) -> st.SearchStrategy[str]:
    return st.from_regex(pattern, fullmatch=True)


def fractions(most: float, *, above_zero: bool = False) -> st.SearchStrategy[float]:
    return st.floats(0, most, exclude_min=above_zero, allow_subnormal=False)


names = matching(r"[a-z0-9]([-a-z0-9]{0,10}[a-z0-9])?")
quantities = matching(r"[0-9]{1,6}(m|Mi|Gi)?")
secrets = st.builds(SecretReference, name=names)
handles = st.lists(matching(r"@?[A-Za-z0-9_]{1,15}"), min_size=1, max_size=3, unique_by=lambda h: h.strip("@").lower())
uris = names.map(lambda name: f"s3://tweets/{name}/{{handle}}.zip")
columns = st.builds(Columns, text=names, id=optional(names), handle=optional(names), repost=optional(names))
files = st.builds(FilesSource, uri=uris, also=optional(st.lists(uris, max_size=16)), columns=optional(columns))
x_sources = st.builds(
    XSource,
    credentialsSecret=secrets,
    terms_accepted=st.just(True),
    max_posts=st.integers(5, 3200),
    max_cost_usd=optional(fractions(10_000, above_zero=True)),
)
sources = st.one_of(
    st.builds(Source, archive=st.builds(ArchiveSource, uri=uris)),
    st.builds(Source, files=files),
    st.builds(Source, x=x_sources),
    st.builds(Source, mastodon=st.builds(MastodonSource, instance=names.map(lambda name: f"{name}.example"))),
)
bluesky_handles = st.lists(
    matching(r"@?[a-z]([a-z0-9-]{0,8}[a-z0-9])?\.example"), min_size=1, max_size=3, unique_by=lambda h: h.strip("@")
)
marks = st.sampled_from(["keep", "strip", "mask"])
cleanings = st.builds(
    Cleaning,
    min_words=st.integers(0, 50),
    unspaced_scripts=st.sampled_from(["words", "characters"]),
    mentions=marks,
    hashtags=marks,
    language=optional(st.sampled_from(["en", "ja"])),
    deny_terms=st.lists(matching(r"\S{1,3}( \S{1,3})?"), max_size=3),
)
deepspeeds = st.builds(
    DeepSpeed,
    zero_stage=st.integers(0, 3),
    config=optional(
        st.fixed_dictionaries({"zero_optimization": st.dictionaries(names, st.booleans() | st.integers(0, 99))})
    ),
)
loras = st.builds(
    Lora,
    rank=st.integers(1, 256),
    alpha=fractions(1024, above_zero=True),
    dropout=fractions(0.9),
    target_modules=optional(st.lists(matching(r"[a-z_.]{1,9}"), min_size=1, max_size=3)),
)
stoppings = st.builds(EarlyStopping, patience=st.integers(1, 100), min_delta=fractions(10))
steps = optional(st.integers(1, 100_000))


@st.composite
def methods(draw: st.DrawFn) -> dict[str, object]:
    method = draw(st.sampled_from(["full", "lora"]))
    fraction = draw(fractions(0.5))
    return {
        "method": method,
        "lora": draw(optional(loras)) if method == "lora" else None,
        "eval_fraction": fraction,
        "early_stopping": draw(optional(stoppings)) if fraction else None,
    }


trainings = st.builds(
    lambda method, **fields: Training(**method, **fields),
    method=methods(),
    epochs=st.integers(1, 50),
    learning_rate=fractions(1, above_zero=True),
    batch_size=st.integers(1, 64),
    block_size=st.integers(16, 8192),
    warmup_ratio=fractions(1),
    weight_decay=fractions(1),
    max_grad_norm=fractions(1000, above_zero=True),
    precision=st.sampled_from(["auto", "fp32", "bf16"]),
    gradient_accumulation_steps=st.integers(1, 1024),
    eval_steps=steps,
    checkpoint_steps=steps,
    deepspeed=deepspeeds,
    seed=optional(st.integers(0, 2**31 - 1)),
)
generations = st.builds(
    Generation,
    prompts=st.lists(st.text(max_size=20), min_size=1, max_size=8),
    samples_per_prompt=st.integers(1, 20),
    measured_posts=st.integers(0, 1024),
    min_length=st.integers(0, 100),
    max_length=st.integers(100, 1024),
    temperature=fractions(10, above_zero=True),
    top_p=fractions(1, above_zero=True),
)
tolerations = st.builds(
    Toleration, key=optional(names), effect=optional(st.sampled_from(["NoSchedule", "PreferNoSchedule", "NoExecute"]))
)
resources = st.builds(
    Resources,
    gpus=optional(st.integers(0, 16)),
    cpu=optional(quantities),
    memory=optional(quantities),
    node_selector=optional(st.dictionaries(names, names, max_size=3)),
    tolerations=optional(st.lists(tolerations, max_size=3)),
    priority_class_name=optional(names),
    queue_name=optional(names),
)
outputs = st.builds(
    Output,
    s3=optional(
        st.builds(
            S3Output,
            bucket=optional(matching(r"[a-z0-9][a-z0-9.-]{1,20}[a-z0-9]")),
            prefix=optional(names),
            endpoint=optional(names.map(lambda name: f"http://{name}:9000")),
            region=optional(names),
            credentials_secret=optional(secrets),
            checksums=optional(st.sampled_from(["when_supported", "when_required"])),
            encryption=optional(
                st.builds(S3Encryption, algorithm=st.just("aws:kms"), kms_key_id=optional(names))
                | st.builds(S3Encryption, algorithm=st.just("AES256"))
            ),
        )
    ),
    hugging_face=optional(
        st.builds(
            HuggingFaceOutput,
            repo=names.map(lambda name: f"bots/{name}"),
            private=st.booleans(),
            tokenSecret=secrets,
        )
    ),
)
trackings = st.builds(
    Tracking,
    wandb=optional(
        st.builds(
            WandbTracking,
            mode=optional(st.sampled_from(["online", "offline", "disabled"])),
            project=optional(names),
            entity=optional(names),
            base_url=optional(names.map(lambda name: f"https://{name}")),
            api_key_secret=optional(secrets),
        )
    ),
)
specs = st.builds(
    lambda handles_and_source, **fields: TweetBotSpec(**handles_and_source, **fields),
    st.fixed_dictionaries({"handles": handles, "source": sources})
    | st.fixed_dictionaries({"handles": bluesky_handles, "source": st.just(Source(bluesky=BlueskySource()))}),
    base_model=optional(st.builds(BaseModelReference, name=names, revision=optional(names))),
    cleaning=cleanings,
    training=trainings,
    generation=generations,
    resources=optional(resources),
    output=optional(outputs),
    tracking=optional(trackings),
    run_id=optional(st.text(max_size=63)),
    max_attempts=st.integers(1, 20),
)

texts = st.text(st.characters(codec="utf-8"), max_size=40)
losses = st.floats(0, 20)
counts = st.integers(0, 10**6)
hashes = matching(r"[0-9a-f]{64}")
addresses = names.map(lambda name: f"https://wandb.example.org/{name}")
outcomes = st.builds(
    BotOutcome,
    data=optional(
        st.lists(
            st.builds(
                HandleCounts,
                handle=names,
                display_name=optional(texts),
                downloaded=counts,
                retweets=counts,
                short=counts,
                filtered=counts,
                kept=counts,
            ),
            max_size=3,
        )
    ),
    dataset=optional(st.builds(Dataset, characters=counts, tokens=counts, sha256=hashes, warning=optional(texts))),
    evaluation=optional(st.builds(Evaluation, loss=losses, perplexity=losses, base_loss=optional(losses))),
    manifest_sha256=optional(hashes),
    wandb=optional(st.builds(WandbRuns, preprocess_url=optional(addresses), train_url=optional(addresses))),
    samples=optional(st.lists(texts, max_size=3)),
    hugging_face=optional(
        st.builds(HuggingFaceModel, url=addresses, revision=optional(names), failure=optional(texts))
    ),
    failure=optional(
        st.builds(
            Failure, reason=names, message=texts, exit_code=optional(st.integers(0, 255)), log_tail=optional(texts)
        )
    ),
)
# The bounds carry no zone: Hypothesis adds it.
times = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
