/* SPDX-License-Identifier: MIT */
/*
 * wake.pml - two processes, two rings, sleep and wake-up, and a kill between any two instructions.
 *
 *   here                    in csrc/core
 *   store, load, FENCE      memory as x86 has it (TSO): each process has a FIFO of stores that
 *                           drains when it likes; a fence, an atomic exchange and a system call
 *                           wait until it is empty
 *   try_put                 send.c try_put; ring.c rbr_producer_claim, rbr_producer_commit
 *   wake_peer               wake.c rbr_wake_peer (F2); post is os_linux.c rbr_os_hint_post
 *   read_one                exchange.c read_one; message.c rbr_message_read, which copies, releases
 *                           the room and looks for a sleeper
 *   go_to_sleep             exchange.c sleep_as_reader; wake.c rbr_wake_announce (F1),
 *                           rbr_wake_sleep, rbr_wake_cancel; os_linux.c rbr_os_hint_wait
 *   side                    exchange.c read_until for ROOM (inside send.c put), then for REQUEST
 *   watcher                 watcher.c on_peer_ended, channel.c rbr_channel_latch, waiters.c
 *                           rbr_exchange_wake_all
 *
 * Left out: the look every 100 ms (it must be safe without), spinning, deadlines, other threads of
 * a process (roles.pml). No process loads a word that only it stores (it has its own copy), so
 * loads need not look into the own FIFO. What a process has stored reaches memory before its death
 * can be noticed; dying with fewer stores made is dying earlier, which is tried too.
 *
 * Shown, for every order of all steps
 *   - every message comes once, whole and in order
 *   - nobody sleeps for ever: not with work to do, not before a full ring, not when the peer died
 *   - what the peer published before its end is received before the end is reported
 *
 * A mutant is one -D of those that `run` lists; each has to fail.
 */
#ifndef MESSAGES
#define MESSAGES 2  /* each side sends this many ... */
#endif
#define CAPACITY 1  /* ... through a ring of this many records */
#define STORES 3    /* length of a FIFO */

#define DATA 1
#define ROOM 2

#define ME _pid
#define PEER (1 - _pid)

/* Shared memory: byte words. A ring has its producer's number. */
#define TAIL(p) (p)
#define HEAD(p) (2 + (p))
#define WAITING(p) (4 + (p))
#define SLOT(p) (6 + (p))
byte memory[8];
byte hint[2];     /* written by exchanges only, so it never stands in a FIFO */
bool asleep[2];   /* in the kernel */

chan stores[2] = [STORES] of { byte, byte };

bool alive[2] = true;
bool dead_seen[2];  /* channel.state of each process */
bool finished[2];

#define store(to, value) stores[ME] ! to, value
#define load(from) memory[from]
#define EMPTY (len(stores[ME]) == 0)
#define FENCE EMPTY

#ifdef NO_FENCE_WAITER
#define F1 skip
#else
#define F1 FENCE
#endif
#ifdef NO_FENCE_PRODUCER
#define F2 skip
#else
#define F2 FENCE
#endif

inline wake_peer(reason)
{
    F2;
    if
    :: (load(WAITING(PEER)) & reason) == 0
    :: else ->
        atomic { EMPTY -> was = memory[WAITING(PEER)]; memory[WAITING(PEER)] = 0 }
        if
        :: was == 0
        :: else ->
            hint[PEER] = 1;
            asleep[PEER] = false
        fi
    fi
}

/* no_room: set when the ring has no room. */
inline try_put()
{
    no_room = false;
    if
    :: sent - head_seen < CAPACITY
    :: else ->
        head_seen = load(HEAD(ME));
        no_room = (sent - head_seen >= CAPACITY)
    fi
    if
    :: no_room
    :: else ->
#ifdef TAIL_FIRST
        store(TAIL(ME), sent + 1);
        store(SLOT(ME), sent + 1);
#else
        store(SLOT(ME), sent + 1);
        store(TAIL(ME), sent + 1);
#endif
        sent++
    fi
}

/* nothing: set when the ring has nothing. */
inline read_one()
{
    tail_seen = load(TAIL(PEER));
    nothing = (tail_seen == received);
    if
    :: nothing
    :: else ->
        assert(tail_seen - received <= CAPACITY);
        assert(load(SLOT(PEER)) == received + 1);
        received++;
        store(HEAD(PEER), received);
#ifndef NO_ROOM_POST
        wake_peer(ROOM)
#endif
    fi
}

#define has_data (load(TAIL(PEER)) != received)
#define has_room (sent - load(HEAD(ME)) < CAPACITY)

inline go_to_sleep(room)
{
    store(WAITING(ME), (room -> DATA | ROOM : DATA));
    F1;
#ifdef NO_RECHECK
    again = false;
#else
#ifdef ROOM_WAITER_DOES_NOT_READ
    again = !room && has_data;
#else
    again = has_data;
#endif
    again = again || dead_seen[ME];
#endif
#ifndef NO_ROOM_RECHECK
    again = again || (room && has_room);
#endif
    if
    :: again
    :: else ->
        atomic { EMPTY -> was = hint[ME]; hint[ME] = 0 }
        if
        :: was != 0
        :: else ->
            atomic { EMPTY -> asleep[ME] = (hint[ME] == 0) }
            !asleep[ME];
            atomic { EMPTY -> hint[ME] = 0 }
        fi
    fi
    store(WAITING(ME), 0)
}

active [2] proctype side() provided (alive[_pid])
{
    byte sent, received, head_seen, tail_seen, was;
    bool no_room, nothing, again, over, room;

    do
    :: room = false;
       if
       :: sent < MESSAGES ->
            try_put();
            room = no_room;
            if
            :: no_room
            :: else -> wake_peer(DATA)
            fi
       :: else -> skip
       fi
       if
       :: sent == MESSAGES && received == MESSAGES && !room -> break
       :: sent < MESSAGES && !room   /* the next one */
       :: else ->
#ifndef OVER_LAST
            over = dead_seen[ME];
#endif
#ifdef ROOM_WAITER_DOES_NOT_READ
            nothing = true;
            if
            :: room
            :: else -> read_one()
            fi
#else
            read_one();
#endif
#ifdef OVER_LAST
            over = dead_seen[ME];
#endif
            if
            :: !nothing || (room && has_room)
            :: else ->
                if
                :: over -> assert(received == memory[TAIL(PEER)]); break
                :: else -> go_to_sleep(room)
                fi
            fi
       fi
    od;
    finished[ME] = true
}

#define WATCHED (_pid - 2)

active [2] proctype watcher() provided (alive[_pid - 2])
{
    !alive[1 - WATCHED] && len(stores[1 - WATCHED]) == 0;
    dead_seen[WATCHED] = true;
#ifndef NO_POST_AT_DEATH
    hint[WATCHED] = 1;
    asleep[WATCHED] = false
#endif
}

active proctype drain()
{
    byte to, value;

    do
    :: atomic { stores[0] ? to, value -> memory[to] = value; to = 0; value = 0 }
    :: atomic { stores[1] ? to, value -> memory[to] = value; to = 0; value = 0 }
    od
}

/* One of the two, at any time, or nobody. */
active proctype killer()
{
    if
#ifndef NO_KILL
    :: alive[0] = false
    :: alive[1] = false
#endif
    :: true
    fi
}

/* When nothing can move any more, whoever lives has come to his end. */
active proctype judge()
{
    timeout;
    assert(!alive[0] || finished[0]);
    assert(!alive[1] || finished[1])
}
