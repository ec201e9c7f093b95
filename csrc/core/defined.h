/* SPDX-License-Identifier: MIT */
/*
 * defined.h - no byte of old memory reaches the peer; valgrind is asked whether that is so.
 *
 * Valgrind knows of each byte whether it was ever written, but it looks only at what is handed to
 * the system: what is copied into shared memory goes unseen. So whoever hands out memory to be
 * filled says that it holds nothing yet, and whoever sends says what. An undefined byte is then an
 * error that valgrind reports (`.ci/test_c valgrind`).
 *
 * In VERIFY builds, where valgrind's headers are; free elsewhere. Never called for memory that the
 * peer writes.
 */
#ifndef RBR_DEFINED_H
#define RBR_DEFINED_H

#if defined(RBR_VERIFY_BUILD) && __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define RBR_VERIFY_UNWRITTEN(at, bytes) ((void)VALGRIND_MAKE_MEM_UNDEFINED(at, bytes))
#define RBR_VERIFY_WRITTEN(at, bytes) ((void)VALGRIND_CHECK_MEM_IS_DEFINED(at, bytes))
#else
#define RBR_VERIFY_UNWRITTEN(at, bytes) ((void)0)
#define RBR_VERIFY_WRITTEN(at, bytes) ((void)0)
#endif

#endif
