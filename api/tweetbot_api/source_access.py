"""How the platform lets sources be reached over the network: addresses, prices, and how long what was bought is kept.

Set by the platform team in the operator's settings and handed to each run. None of it is in a bot's spec: an address
there would let whoever may make bots send requests, and a token, from inside the cluster to where they like.
"""

from pydantic import Field

from tweetbot_api.model import ApiModel
from tweetbot_api.spec.fields import Endpoint


class SourceAccess(ApiModel):
    """Addresses and prices of the sources on the network."""

    x_url: Endpoint = Field(default="https://api.x.com", alias="xURL")
    """Address of X's API, or of a proxy for it. It gets the bearer tokens of all bots."""
    x_post_price_usd: float = Field(default=0.005, ge=0, le=100, alias="xPostPriceUSD")
    """What X charges for one post, in US dollars; your developer console tells. Limits of cost are kept by it."""
    x_user_price_usd: float = Field(default=0.010, ge=0, le=100, alias="xUserPriceUSD")
    """What X charges to look up one account, in US dollars."""
    bluesky_resolver_url: Endpoint = Field(default="https://public.api.bsky.app", alias="blueskyResolverURL")
    """Service that tells the identifier (DID) of a Bluesky handle."""
    bluesky_directory_url: Endpoint = Field(default="https://plc.directory", alias="blueskyDirectoryURL")
    """Directory that tells on which server the account with an identifier lives."""
    trusted_servers: list[Endpoint] = Field(default=[], max_length=64)
    """Servers of your own (`http://host:port` or `https://host`) that Bluesky and Mastodon sources may reach although
    they have private addresses or speak no TLS. All others must have public addresses and speak TLS."""
    raw_retention_days: int = Field(default=30, ge=1, le=3650)
    """How long posts that were bought from X are kept in S3 for the next run. Then they are removed and, if a bot still
    wants them, bought again, so that what its author has deleted meanwhile is gone."""

    @property
    def bluesky_services(self) -> list[str]:
        """Bluesky's services, which the platform has named itself."""
        return [self.bluesky_resolver_url, self.bluesky_directory_url]
