"""From `spec.source` to a source on the network, with what the platform and the environment give it."""

import os

from tweetbot_api import names
from tweetbot_api.conditions import Reason
from tweetbot_api.runconfig import RunConfig
from tweetbot_api.spec.source import XSource
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.s3 import open_store_at
from tweetbot_trainer.sources.base import Source
from tweetbot_trainer.sources.bluesky import Bluesky
from tweetbot_trainer.sources.mastodon import Mastodon
from tweetbot_trainer.sources.purchases import Purchases
from tweetbot_trainer.sources.rate_limit import limit_of
from tweetbot_trainer.sources.web import Web
from tweetbot_trainer.sources.x_api import XApi
from tweetbot_trainer.sources.x_timeline import XTimeline


def open_network_source(config: RunConfig) -> Source | None:
    """Return the source that the run names, or None if it names files."""
    access, wanted = config.access, config.source
    if wanted.x:
        return _open_x(config, wanted.x)
    if wanted.bluesky:
        return Bluesky(access, Web(access.trusted_servers + access.bluesky_services))
    if wanted.mastodon:
        return Mastodon(wanted.mastodon, access, Web(access.trusted_servers))
    return None


def _open_x(config: RunConfig, wanted: XSource) -> XTimeline:
    token = os.environ.get(names.ENV_X_BEARER_TOKEN, "").strip()
    if not token:
        raise TrainerError(Reason.SOURCE_UNAUTHORIZED, f"{names.ENV_X_BEARER_TOKEN} is not set, or empty")
    if config.raw_uri is None:
        raise TrainerError(Reason.INVALID_SPEC, "the run names no place for what it buys from X (rawURI)")
    store = open_store_at(config.raw_uri, config.output)
    # One limiter for all users of a token in this process: X counts by credential.
    api = XApi(config.access.x_url, token, limit_of("X", token))
    purchases = Purchases(store, f"{config.bot.uid}/{config.bot.run_id}")
    return XTimeline(wanted, config.access, api, purchases, config.handles, Web(config.access.trusted_servers))
