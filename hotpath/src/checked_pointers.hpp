// Included by force in the checked build: Cython's overflow check takes `p - q` for arithmetic on ptrdiff_t and calls its
// helper with the pointers themselves. This overload answers for pointers; their difference cannot overflow.
#pragma once
#include <cstddef>

template <class A, class B>
inline std::ptrdiff_t __Pyx_sub_ptrdiff_t_checking_overflow(A* stop, B* begin, int*) {
    return stop - begin;
}
