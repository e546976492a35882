"""What a workload holds, in numbers and pictures."""
