"""How to make room on a node: who stops, moves, is preempted or is waited for."""
