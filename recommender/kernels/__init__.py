"""What compiled code shares: compiler options, SIMD intrinsics, threads."""
