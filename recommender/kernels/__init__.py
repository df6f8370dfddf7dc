"""What compiled code shares: numba options, threads, SIMD intrinsics."""
