"""A secret that all workers of a realm share: the oldest of those that they have drawn."""

from __future__ import annotations

from wampasgi.router.cluster_items import ItemCode
from wampasgi.router.realm_channel import RealmChannel
from wampasgi.router.replicas import Item
from wampasgi.router.stamps import Stamp


class SharedSecret:
    """The key for mock challenges of one realm. It is this worker's own until it knows an older one."""

    def __init__(self, channel: RealmChannel, value: bytes) -> None:
        self._channel = channel
        self._stamp: Stamp | None = None
        #: The key.
        self.value = value

    def row(self) -> Item:
        """Return the item that announces the key."""
        if self._stamp is None:
            self._stamp = self._channel.stamp()
        return [ItemCode.MOCK_SECRET, *self._stamp, self.value]

    def take(self, node: int, item: Item) -> None:
        """Use the key of another worker if it is older."""
        _, time, author, value = item
        stamp = self._channel.observe(time, author)
        if self._stamp is None or stamp < self._stamp:
            self._stamp, self.value = stamp, value
