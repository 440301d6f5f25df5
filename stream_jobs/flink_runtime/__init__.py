"""The windows as a Flink SQL job; Python runs on closed windows only."""
