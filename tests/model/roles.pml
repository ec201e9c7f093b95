/* SPDX-License-Identifier: MIT */
/*
 * roles.pml - several threads of one process wait; one of them reads for all.
 *
 *   here                    in csrc/core
 *   waiter                  exchange.c wait_for: the loop, and at its end waiters.c
 *                           rbr_sleepers_offer_role (E1)
 *   read_until              exchange.c read_until, read_one; deliver is deliver.c rbr_deliver
 *   look_for_room           exchange.c look_for_room; waiters.c rbr_sleepers_wake_room
 *   sleep_as_reader         exchange.c sleep_as_reader; wake.c rbr_wake_announce, rbr_wake_sleep
 *   sleep_as_follower       exchange.c sleep_as_follower; wake.c rbr_wake_add_reason
 *   peer                    the other process: publishes, then wake.c rbr_wake_peer; it answers
 *                           thread 0, makes room, and answers thread 1 once thread 2 used the
 *                           room, so that no later frame mends a lost wake-up; it may be killed
 *                           anywhere
 *   watcher                 channel.c rbr_channel_latch, waiters.c rbr_exchange_wake_all
 *
 * Threads 0 and 1 wait for an answer each, thread 2 for room. Thread 0 may have a deadline: it may then give
 * up in any sleep, and its answer may come before, after or never. Memory is sequentially
 * consistent here: wake.pml is about the fences. What is done
 * under exchange.lock is one step. Which of several sleepers is offered the role is
 * left open: the code's choice is one of those tried.
 *
 * Shown, for every order of all steps: no thread sleeps for ever, and each answer reaches its thread.
 * A mutant is one -D of those that `run` lists; each has to fail.
 */
#define THREADS 3
#define ROOM_THREAD 2

#define DATA 1
#define ROOM 2

#define ME _pid

chan ring = [2] of { byte }; /* answers, as the number of the thread that asked */
bool room_made;              /* in the ring that we write */
bool room_used;              /* thread 2 is through */
byte waiting;
bool hint, asleep;

bool reading;
bool queued[THREADS];        /* in exchange.sleepers */
bool slept[THREADS];         /* pending_call.sleeper */
bool woken[THREADS];         /* sleeper.wake */
bool answered[THREADS];
bool dead_seen;              /* channel.state */

bool peer_alive = true;
bool has_deadline;           /* thread 0 */
byte finished;

#define room_sleepers queued[ROOM_THREAD]
#define has_data (len(ring) > 0)
#define has_room (ME == ROOM_THREAD && room_made)

inline look_for_room()
{
    if
    :: has_room -> ok = true
    :: else ->
        ok = false;
        if
        :: room_sleepers ->
            atomic {
                if
                :: room_sleepers && room_made ->
                    queued[ROOM_THREAD] = false;
                    woken[ROOM_THREAD] = true
                :: else
                fi
            }
        :: else
        fi
    fi
}

inline deliver(to)
{
    atomic {
        answered[to] = true;
        if
        :: slept[to] -> queued[to] = false; woken[to] = true
        :: else
        fi
    }
}

/* Announce, look once more, sleep; gave_up: the deadline came. */
inline sleep_as_reader()
{
    room = ME == ROOM_THREAD || room_sleepers;
    waiting = (room -> DATA | ROOM : DATA);
    again = has_data || dead_seen;
    if
    :: again
    :: else ->
        look_for_room();
        again = ok;
#ifndef NO_OVERWRITE_CHECK
        again = again || (!room && room_sleepers)
#endif
    fi
    if
    :: again
    :: else ->
        atomic {
            if
            :: hint -> hint = false
            :: else -> asleep = true
            fi
        }
        if
        :: !asleep
        :: ME == 0 && has_deadline -> asleep = false; gave_up = true
        fi;
        hint = (gave_up -> hint : false)
    fi
    waiting = 0;
    room = false;
    again = false;
    ok = false
}

/* Ends with got, over or gave_up. */
inline read_until()
{
    do
    :: over = dead_seen;
       if
       :: atomic { ring ? answer -> skip }
          if
          :: answer == ME -> got = true; break
          :: else -> deliver(answer)
          fi;
          answer = 0
       :: atomic { !has_data -> skip }
          look_for_room();
          if
          :: ok -> got = true; break
          :: else
          fi
          if
          :: over -> break
          :: else -> sleep_as_reader()
          fi
          if
          :: gave_up -> break
          :: else
          fi
       fi
    od
}

/* Queued already. */
inline sleep_as_follower()
{
    if
    :: ME == ROOM_THREAD -> waiting = waiting | ROOM
    :: else
    fi;
#ifndef NO_ROOM_RECHECK
    ok = has_room; /* one look; room that comes later is somebody's to announce */
#endif
    if
    :: ok -> ok = false
    :: !ok && woken[ME]
    :: !ok && ME == 0 && has_deadline && !woken[ME] -> gave_up = true
    fi
}

#ifdef NO_OFFER
#define OFFER(thread) false
#else
#ifdef NO_OFFER_AFTER_DEADLINE
#define OFFER(thread) (!gave_up && queued[thread])
#else
#define OFFER(thread) queued[thread]
#endif
#endif

active [THREADS] proctype waiter()
{
    byte answer;
    bool got, over, gave_up, ok, room, again;

    if
    :: ME == 0 -> has_deadline = true
    :: true
    fi;
    do
    :: atomic {
           queued[ME] = false;
           slept[ME] = false;
           if
           :: answered[ME] || has_room -> got = true; break
           :: else
           fi;
           if
           :: over || gave_up -> break
           :: else
           fi;
           room = reading; /* only for the choice below */
           if
           :: !reading -> reading = true
           :: else -> queued[ME] = true; slept[ME] = true; woken[ME] = false
           fi
       }
       if
       :: !room ->
            read_until();
            atomic {
                reading = false;
                if
                :: got -> break
                :: else
                fi
            }
       :: else -> room = false; sleep_as_follower()
       fi
    od;
    atomic {
        if
        :: !reading && OFFER(0) -> queued[0] = false; woken[0] = true
        :: !reading && OFFER(1) -> queued[1] = false; woken[1] = true
        :: !reading && OFFER(2) -> queued[2] = false; woken[2] = true
        :: reading || !(OFFER(0) || OFFER(1) || OFFER(2))
        fi;
        assert(got || over || (gave_up && ME == 0));
        room_used = room_used || (ME == ROOM_THREAD && got);
        finished++
    }
}

/* The peer may be killed here. */
#define MAY_DIE if :: true :: goto killed fi

inline wake_peer(reason)
{
    MAY_DIE;
    if
    :: (waiting & reason) == 0
    :: else ->
        MAY_DIE;
        d_step { was = waiting; waiting = 0 }
        if
        :: was == 0
        :: else ->
            MAY_DIE;
            hint = true;
            MAY_DIE;
            asleep = false
        fi
    fi;
    was = 0;
    MAY_DIE
}

active proctype peer()
{
    byte was;
    bool answers[2];

    MAY_DIE;
    do
    :: !answers[0] -> atomic { answers[0] = true; ring ! 0 } wake_peer(DATA)
    :: !answers[1] && room_used -> atomic { answers[1] = true; ring ! 1 } wake_peer(DATA)
    :: !room_made -> room_made = true; wake_peer(ROOM)
    :: answers[0] && answers[1] && room_made -> break
    od;
    goto lives;
killed:
    peer_alive = false;
lives:
    skip
}

active proctype watcher()
{
    !peer_alive;
    dead_seen = true;
#ifndef NO_WAKE_AT_DEATH
    atomic {
        woken[0] = woken[0] || queued[0];
        woken[1] = woken[1] || queued[1];
        woken[2] = woken[2] || queued[2];
        queued[0] = false;
        queued[1] = false;
        queued[2] = false
    }
    hint = true;
    asleep = false
#endif
}

/* When nothing can move any more, every thread has come back. */
active proctype judge()
{
    timeout;
    assert(finished == THREADS)
}
