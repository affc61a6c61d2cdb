"""What a run may buy of X, and what it costs."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from tweetbot_api.source_access import SourceAccess
from tweetbot_api.spec.source import XSource
from tweetbot_trainer.sources.purchases import Charge, Purchases

LARGEST_PAGE: Final = 100
"""Posts that X gives at a time at most."""
LOOK_UP: Final = Charge(users=1)
"""What it takes to look up an account."""


@dataclass(frozen=True, kw_only=True)
class Caps:
    """The limits of the spec, with the platform's prices."""

    max_posts: int
    max_cost: Decimal | None
    post_price: Decimal
    user_price: Decimal

    @classmethod
    def of(cls, wanted: XSource, access: SourceAccess) -> "Caps":
        """Return the caps of the spec with the platform's prices, in exact decimals."""
        return cls(
            max_posts=wanted.max_posts,
            max_cost=None if wanted.max_cost_usd is None else Decimal(str(wanted.max_cost_usd)),
            post_price=Decimal(str(access.x_post_price_usd)),
            user_price=Decimal(str(access.x_user_price_usd)),
        )

    def __str__(self) -> str:
        cost = "" if self.max_cost is None else f" and maxCostUSD {self.max_cost}"
        return f"spec.source.x: maxPosts {self.max_posts}{cost}"

    def cost(self, charge: Charge) -> Decimal:
        """Return the price in US dollars."""
        return charge.posts * self.post_price + charge.users * self.user_price

    def next_page(self, purchases: Purchases, handle: str, folder: str) -> int:
        """Return how many posts the next page may have."""
        left = min(LARGEST_PAGE, self.max_posts - purchases.spent(f"x/{handle}/", but_today=folder).posts)
        if self.max_cost is not None and self.post_price:
            money = self.max_cost - self.cost(purchases.spent(but_today=folder))
            left = min(left, int(money // self.post_price))
        return left

    def allow_look_up(self, purchases: Purchases, folder: str) -> bool:
        """Tell whether an account may be looked up."""
        charge = purchases.spent(but_today=folder) + LOOK_UP
        return self.max_cost is None or self.cost(charge) <= self.max_cost
