"""Where the posts come from."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from tweetbot_api.model import ApiModel
from tweetbot_api.spec.fields import SecretReference, Uri, cel_rules

_INSTANCE = r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]*[a-z0-9])?(:[0-9]{1,5})?$"
ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
_SOURCES = ("archive", "files", "x", "bluesky", "mastodon")
ONE_SOURCE = "give exactly one source: archive, files, x, bluesky or mastodon"
ACCEPT_TERMS = (
    "X's developer terms restrict training on what its API gives (docs/sources.md#terms-of-x): read them, and set "
    "termsAccepted: true if your use is allowed; the owner's own archive, Bluesky and Mastodon need no such consent"
)


class ArchiveSource(ApiModel):
    """Where the archive lies that the network gave the account's owner."""

    uri: Uri
    """Address of the archive: `s3://bucket/key`, or `file:///path` for the command line. `{handle}` in it is replaced
    by each handle, so that several handles can have one each. Example: `s3://tweets/{handle}.zip`."""


class Columns(ApiModel):
    """Which column, or which field of a JSON object (`user.name` for a nested one), holds what."""

    text: ColumnName
    """The post's text."""
    id: ColumnName | None = None
    """The post's identifier; a post that stands in the files twice is counted once. Without it, none is a repeat."""
    handle: ColumnName | None = None
    """The author's handle; posts of others are left out. Without it, every post is taken for the handle's own."""
    created_at: ColumnName | None = None
    """When it was posted."""
    lang: ColumnName | None = None
    """The language's code."""
    repost: ColumnName | None = None
    """Whether it repeats another's post: anything but `false`, `f`, `0`, `no`, `NA` or nothing; or the kind of post
    (`retweeted`, `quoted`, `reply`, `original`). A text that begins with `RT @name:` is one in any case."""


class FilesSource(ApiModel):
    """Where files with posts lie, and how to read one whose shape is not known."""

    uri: Uri
    """Address of the file: `s3://bucket/key`, or `file:///path` for the command line. `{handle}` in it is replaced by
    each handle. Example: `s3://tweets/{handle}.jsonl`."""
    also: list[Uri] | None = Field(default=None, max_length=16)
    """More files of the same accounts, of any shape. Posts are read in the order of the files; one with the
    identifier of an earlier one is left out."""
    columns: Columns | None = None
    """The columns to read. Without it, the shape is detected (`docs/sources.md` lists the known ones)."""


class XSource(ApiModel):
    """The posts of an account by X's API, which charges for each post that it gives (docs/sources.md)."""

    credentials_secret: SecretReference
    """Secret with the key `X_BEARER_TOKEN`, an app-only bearer token of a developer account with credit. Only the
    prepare pod gets it. The command line takes the variable `X_BEARER_TOKEN`."""
    terms_accepted: bool = False
    """That X's developer terms allow this use; nothing is fetched without. They forbid to train "foundation or frontier
    models": whether a small model of a person's posts is one is for you to find out."""
    max_posts: int = Field(default=3200, ge=5, le=3200)
    """Most posts of each handle that a run buys, reposts included, newest first. X gives the newest 3,200. What an
    earlier run has bought is used as well and costs nothing."""
    max_cost_usd: Annotated[float, Field(gt=0, le=10_000)] | None = Field(default=None, alias="maxCostUSD")
    """Most US dollars that a run spends on all its handles, over all attempts, by the prices in the operator's
    settings ($0.005 a post, $0.010 a look-up of an account). A run that reaches it goes on with the posts it has.
    Without it, only maxPosts limits the cost: $16.01 a handle at most."""

    model_config = cel_rules(("self.termsAccepted", ACCEPT_TERMS))

    @model_validator(mode="after")
    def _accepts_the_terms(self) -> Self:
        if not self.terms_accepted:
            raise ValueError(ACCEPT_TERMS)
        return self


class BlueskySource(ApiModel):
    """The posts of an account on Bluesky, read from the account's own server; free, and without an account of ours."""


class MastodonSource(ApiModel):
    """The public posts of an account on a Mastodon server (or one with the same API); free."""

    instance: Annotated[str, StringConstraints(pattern=_INSTANCE, max_length=253)]
    """Host name of the account's own server: for `@ada@fosstodon.org`, `fosstodon.org` here and `ada` as the handle."""


class Source(ApiModel):
    """Where the posts come from: exactly one of the fields."""

    archive: ArchiveSource | None = None
    """The account owner's own archive, as the network gives it: the zip file from X (old and new layouts), or the
    archive or `outbox.json` from Mastodon."""
    files: FilesSource | None = None
    """Files of posts as tools leave them (twarc, snscrape, academictwitteR, well-known datasets), CSV, JSON lines or
    Parquet with a column of texts, or plain text with one post per line."""
    x: XSource | None = None
    """X's API (version 2). It charges for each post; the owner's archive is free and whole."""
    bluesky: BlueskySource | None = None
    """Bluesky; the handles are whole domain names. Write `bluesky: {}`."""
    mastodon: MastodonSource | None = None
    """A Mastodon server."""

    model_config = cel_rules(
        (f"[{', '.join(f'has(self.{name})' for name in _SOURCES)}].filter(given, given).size() == 1", ONE_SOURCE),
    )

    @property
    def kind(self) -> str:
        """The name of the source that is given."""
        return next(name for name in _SOURCES if getattr(self, name) is not None)

    @property
    def uris(self) -> list[str]:
        """The addresses of the source's files; none if it is read over the network."""
        if self.archive:
            return [self.archive.uri]
        return [self.files.uri, *(self.files.also or ())] if self.files else []

    @model_validator(mode="after")
    def _has_exactly_one(self) -> Self:
        if sum(getattr(self, name) is not None for name in _SOURCES) != 1:
            raise ValueError(ONE_SOURCE)
        return self
