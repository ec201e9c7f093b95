/* SPDX-License-Identifier: MIT */
/*
 * wake.h - sleeping until the peer has something, and waking the peer. Both halves stand next to
 * each other in wake.c.
 */
#ifndef RBR_WAKE_H
#define RBR_WAKE_H

#include "base.h"
#include "layout.h"

/* How long a sleeper waits before it looks again by itself. Tests compile it to hours: then nothing
 * hides a lost wake-up. */
#ifndef RBR_LOOK_NS
#define RBR_LOOK_NS (100 * RBR_MS)
#endif
/* How long who has published something may take until he wakes us for it, where he is stopped between
 * the two, before it counts as a lost wake-up. */
#define RBR_POST_NS (50 * RBR_MS)
/* No spin is longer than this, whatever a wake-up costs; nor shorter: the calibration may have met
 * a wake-up on one CPU, which is cheap, and when two spinners give up early both sleep each time. */
#define RBR_SPIN_MAX_NS (UINT64_C(60000))
#define RBR_SPIN_MIN_NS (UINT64_C(25000))

typedef struct rbr_wake {
    struct rbr_wake_shared *mine; /* we sleep on it */
    struct rbr_wake_shared *peers;
    uint64_t spin_ns;             /* 0: never spin */
    _Atomic int peers_event;      /* what the peer's event loops sleep on; -1: none */
    bool nudge;                   /* it is a socket, see rbr_os_nudge; else an eventfd */
    _Atomic uint64_t wakes_sent, sleeps, late_looks;
} rbr_wake;

/* role: ours, RBR_ROLE_HOST or RBR_ROLE_WORKER. */
void rbr_wake_init(rbr_wake *wake, struct rbr_segment_shared *segment, int role, uint64_t spin_ns);

/* The sleeper: announce, look again, then cancel or sleep. One thread of a process at a time. */
void rbr_wake_announce(rbr_wake *wake, uint32_t reasons);
void rbr_wake_cancel(rbr_wake *wake);
/* RBR_OK: posted; look again. RBR_TIMED_OUT (also every RBR_LOOK_NS): look all the same, then call
 * rbr_wake_was_forgotten. RBR_INTERRUPTED: a signal. */
rbr_status rbr_wake_sleep(rbr_wake *wake, uint64_t deadline_ns);
/* Ends a sleep that timed out; `found`: the look that followed has found something. True: and nobody
 * was about to wake us for it, which is a lost wake-up. */
bool rbr_wake_was_forgotten(rbr_wake *wake, bool found);
/* Any thread of ours adds a reason to a sleep that another thread, or an event loop, may be in. */
void rbr_wake_add_reason(rbr_wake *wake, uint32_t reason);

/* The other side: after publishing data (or room), wake who announced a sleep for it. */
void rbr_wake_peer(rbr_wake *wake, uint32_t reason);
/* Wakes the peer's event loops, if it has given us a descriptor for that. */
void rbr_wake_event(rbr_wake *wake);
/* Wakes our own sleeper: at death and close. */
void rbr_wake_self(rbr_wake *wake);

/* Where we run, for the peer's decision to spin; and whether spinning for it makes sense. */
void rbr_wake_publish_cpu(rbr_wake *wake);
bool rbr_wake_may_spin(const rbr_wake *wake);

/* What one wake-up between two threads costs here, measured once a process. Where all run on one CPU
 * nobody spins anyway: rbr_wake_may_spin compares the CPUs at each wait, since a process may be
 * pinned before we come and unpinned after. */
uint64_t rbr_wake_calibrate(void);

#endif
