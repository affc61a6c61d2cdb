"""Whose posts a file holds: those of the handle are used, those of others left out."""

import re
from dataclasses import dataclass, field
from typing import Final

from tweetbot_api.conditions import Reason
from tweetbot_trainer.errors import TrainerError
from tweetbot_trainer.sources.base import well_formed
from tweetbot_trainer.sources.limits import unreadable

_HANDLE = re.compile(r"@?[\w.@-]{1,253}")
_MAX_NAMED: Final = 5


def same_account(author: str, handle: str) -> bool:
    """Tell whether two handles name one account; a server (`name@server`) counts if both have one."""
    first, _, first_server = author.lower().removeprefix("@").partition("@")
    second, _, second_server = handle.lower().removeprefix("@").partition("@")
    return first == second and (not first_server or not second_server or first_server == second_server)


@dataclass(slots=True)
class Authors:
    """Tells the handle's posts from those of others in one file."""

    handle: str
    place: str
    num_own: int = 0
    _others: dict[str, None] = field(default_factory=dict)
    _account: str | None = None

    def is_own(self, name: object, account_id: object = None) -> bool:
        """Tell whether a post by this author is to be used: the handle's own, or one that names no handle.

        Raises SourceUnreadable if posts of several accounts are told apart by number or display name only: whose they
        are cannot be known then.
        """
        if isinstance(name, str) and _HANDLE.fullmatch(name.strip()):
            if not same_account(name.strip(), self.handle):
                if len(self._others) < _MAX_NAMED:
                    self._others[name.strip()] = None
                return False
        elif account := account_id or name:
            self._check_one_account(str(account))
        self.num_own += 1
        return True

    def check(self) -> None:
        """Raise HandleMismatch if all posts were by others."""
        if self._others and not self.num_own:
            names = ", ".join(f"@{well_formed(name).removeprefix('@')[:50]}" for name in self._others)
            raise TrainerError(
                Reason.HANDLE_MISMATCH, f"{self.place} holds no post by @{self.handle}, only by others ({names})"
            )

    def _check_one_account(self, account: str) -> None:
        if self._account is None:
            self._account = account
        elif self._account != account:
            raise unreadable(
                self.place,
                "holds posts by several accounts and does not tell their handles; give a file that does "
                "(`twarc2 flatten` adds them) or one account's posts only",
            )
