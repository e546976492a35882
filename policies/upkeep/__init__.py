"""Background work on a timer: prefetch, prewarming, rebalancing, defragmentation."""
