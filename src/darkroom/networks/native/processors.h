/* FAST: a function that is compiled for several generations of processors, the right one being taken when it runs. */

#ifndef DARKROOM_PROCESSORS
#define DARKROOM_PROCESSORS

#if defined(__x86_64__) && defined(__linux__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#define FAST __attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
#ifndef FAST
#define FAST
#endif

#endif
