/* SPDX-License-Identifier: MIT */
/*
 * broken_wake.c - wake-ups, of which RBR_BREAK=forget forgets one in three: nothing is lost then, but
 * whoever sleeps finds its work only when it looks by itself.
 *
 * Takes the place of wake.c in the program ringbench_broken.
 */
#define rbr_wake_peer sound_wake_peer
#include "../../../csrc/core/wake.c" /* NOLINT(bugprone-suspicious-include) */
#undef rbr_wake_peer

void rbr_wake_peer(rbr_wake *wake, uint32_t reason);

enum { FORGOTTEN = 3 };

void
rbr_wake_peer(rbr_wake *wake, uint32_t reason)
{
    static _Atomic uint32_t asked;
    const char *what = getenv("RBR_BREAK");

    if (what == NULL || what[0] != 'f' || atomic_fetch_add(&asked, 1) % FORGOTTEN != 0)
        sound_wake_peer(wake, reason);
}
