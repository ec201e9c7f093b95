/* SPDX-License-Identifier: MIT */
/*
 * loops.pml - an event loop beside threads of its process: who reads, and who wakes the loop.
 *
 *   here                    in csrc/core
 *   loop                    inbox.c rbr_inbox_clear, rbr_inbox_arm; exchange.c rbr_inbox_take with
 *                           deadline 0
 *   waiter                  exchange.c wait_for, take_role, ask_to_give_way, sleep_as_follower; CALLER
 *                           waits for an answer, BACK for its inbox in the background, DRIVER for that
 *                           of a loop
 *   read_until              exchange.c read_until, must_give_way, sleep_as_reader
 *   offer_role              waiters.c rbr_sleepers_offer_role, leave_it_to_loops
 *   wake_loops              inbox.c rbr_inboxes_wake_all
 *   deliver                 deliver.c rbr_deliver
 *   peer                    the other process: publishes, then wake.c rbr_wake_peer, rbr_wake_event
 *   receiver                the peer's watcher.c on_message: the eventfd comes at any time
 *   watcher                 channel.c rbr_channel_latch, waiters.c rbr_exchange_wake_all
 *
 * CALLER waits for a message, and so does the loop, or with -DBACKGROUND: BACK, or with -DDRIVEN:
 * DRIVER, a thread in rbr_inbox_take of a loop's inbox, which may be armed at any time; then CALLER's
 * message may never come, so that DRIVER does not hear of its own for CALLER's sake.
 * CALLER may have a deadline. There may be a second loop, which was stopped while it was armed: it never looks. Memory is sequentially consistent: wake.pml is about
 * the fences. What is done under exchange.lock is
 * one step, but for leave_it_to_loops, in which the peer may act: then the lock is held.
 *
 * Shown, for every order of all steps: nobody sleeps for ever while there is something for him.
 * With -DDEATH the peer may be killed; without, its eventfd may come late and there may be a second loop.
 * A mutant is one -D of those that `run` lists; each has to fail.
 */
#define LOOP 0
#define CALLER 1
#define BACK 2
#define DRIVER 2

#ifdef BACKGROUND /* who is there: CALLER, and one of the others */
#define WAITERS 2
#define ABSENT LOOP
#define YIELDS(waiter) (waiter == BACK)
#else
#ifdef DRIVEN
#define WAITERS 2
#define ABSENT LOOP
#define YIELDS(waiter) false
#else
#define WAITERS 1
#define ABSENT BACK
#define YIELDS(waiter) false
#endif
#endif

#define DATA 1
#define EVENT 4

#define ME _pid

chan ring = [3] of { byte }; /* messages, as the number of whom they are for */
byte waiting;
bool hint, asleep;
bool edge;                   /* the loop's descriptor is readable */
#ifdef DEATH
bool peer_has_event = true;
#else
bool peer_has_event;
#endif

bool locked;
bool reading, background, give_way;
bool queued[3], woken[3];    /* in exchange.sleepers; sleeper.wake */
bool came[3];
bool armed, still_armed;     /* our loop; the one that was stopped */
bool dead_seen;

bool peer_alive = true;
bool has_deadline;
byte finished;
#ifdef DRIVEN
bool withheld;               /* CALLER's message will not come */
bool caller_left;
#endif

#define LOCKED !locked -> skip /* a step under exchange.lock */
#define has_data (len(ring) > 0)

inline wake_loops()
{
#ifdef WAKE_ONE
    if
    :: still_armed -> still_armed = false
    :: !still_armed && armed -> armed = false; edge = true
    :: else
    fi
#else
    edge = edge || armed;
    armed = false;
    still_armed = false
#endif
}

inline wake(sleeper)
{
    queued[sleeper] = false;
    woken[sleeper] = true
}

/* Under the lock, which is held on for the second half: the peer may act in between. */
inline offer_role(leaves)
{
    if
    :: reading
    :: !reading && queued[CALLER] -> wake(CALLER)
    :: !reading && queued[BACK] && (!queued[CALLER] || !YIELDS(BACK)) -> wake(BACK)
    :: !reading && !queued[CALLER] && !queued[BACK] && (armed || still_armed) ->
#ifdef NO_HANDOVER
        handing = !leaves;
#else
        handing = true;
#endif
#ifdef LOOK_BEFORE_ARMING
        again = has_data;
#endif
        locked = handing
    :: !reading && !queued[CALLER] && !queued[BACK] && !armed && !still_armed
    fi
}

inline leave_it_to_loops()
{
    if
    :: handing ->
        waiting = waiting | DATA | EVENT;
#ifndef LOOK_BEFORE_ARMING
        again = has_data;
#endif
#ifdef NO_LOOK_AFTER_ARMING
        again = false;
#endif
        d_step {
            if
            :: again -> wake_loops()
            :: else
            fi;
            again = false;
            handing = false;
            locked = false
        }
    :: else
    fi
}

inline deliver(to)
{
    atomic {
        LOCKED;
        came[to] = true;
#ifdef DRIVEN
        if
        :: to == DRIVER -> edge = edge || armed; armed = false
        :: else
        fi;
#endif
        if
        :: to == LOOP -> edge = edge || armed; armed = false
#ifdef WAKES_LOOP_ONLY
        :: to == CALLER && queued[to] -> wake(to)
#else
        :: to != LOOP && queued[to] -> wake(to)
#endif
        :: else
        fi;
        to = 0
    }
}

/* Under the lock. */
inline take_role()
{
    reading = true;
    background = YIELDS(ME);
    give_way = false;
    waiting = (armed || still_armed -> 0 : waiting)
}

active proctype loop()
{
    byte message;
    bool again, over, handing, mine;

#ifdef DRIVEN
    if
    :: atomic { LOCKED; armed = true; offer_role(false) }
       leave_it_to_loops()
    :: true
    fi;
#endif
#if !defined(BACKGROUND) && !defined(DRIVEN)
    do
    :: edge = false;
       over = dead_seen;
       atomic {
           LOCKED;
           mine = !came[LOOP] && !reading;
           if
           :: mine -> take_role()
           :: else
           fi
       }
       if
       :: mine ->
            mine = false;
            do
            :: atomic { ring ? message -> skip } deliver(message)
            :: break /* empty; or it has read enough for others */
            od;
            atomic { LOCKED; reading = false; offer_role(true) }
            leave_it_to_loops()
       :: else
       fi;
       if
       :: came[LOOP] -> break
       :: !came[LOOP] && over && !has_data -> break
       :: else
       fi;
       atomic {
           LOCKED;
           armed = true;
           if
#ifdef NO_LOOK_AT_INBOX
           :: dead_seen -> armed = false; edge = true
#else
           :: came[LOOP] || dead_seen -> armed = false; edge = true
#endif
           :: else -> offer_role(false)
           fi
       }
       leave_it_to_loops();
       edge
    od;
#endif
    over = false;
    finished++
}

/* Announce, look once more, sleep. */
inline sleep_as_reader()
{
    waiting = DATA;
    again = has_data || dead_seen || (YIELDS(ME) && give_way);
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
        :: ME == CALLER && has_deadline -> asleep = false; gave_up = true
        fi;
        hint = (gave_up -> hint : false)
    fi;
    waiting = 0;
    again = false
}

/* Ends with came[ME], over, gave_up, or to give way. */
inline read_until()
{
    do
    :: over = dead_seen;
       if
       :: YIELDS(ME) && give_way -> gave_way = true; break
       :: atomic { !(YIELDS(ME) && give_way) && has_data -> ring ? message }
          deliver(message);
          if
          :: came[ME] -> break
          :: else
          fi
       :: atomic { !(YIELDS(ME) && give_way) && !has_data -> skip }
          if
          :: over -> break
          :: else -> sleep_as_reader()
          fi;
          if
          :: gave_up -> break
          :: else
          fi
       fi
    od
}

/* Under the lock. */
inline queue_up()
{
    queued[ME] = true;
    woken[ME] = false
}

#ifdef NO_OFFER
#define OFFER skip
#else
#define OFFER offer_role(true)
#endif

active [WAITERS] proctype waiter()
{
    byte message;
    bool over, gave_up, gave_way, again, handing, mine, done;

    if
    :: ME == CALLER -> has_deadline = true
    :: true
    fi;
    do
    :: atomic {
           LOCKED;
           queued[ME] = false;
           done = came[ME] || over || gave_up;
           mine = !done && !reading;
           if
           :: done -> OFFER
           :: mine -> take_role()
           :: else ->
                if
                :: reading && background && ME == CALLER -> /* ask_to_give_way */
                    give_way = true;
                    hint = true;
                    asleep = false
                :: else
                fi;
                queue_up()
           fi
       }
       if
       :: done -> leave_it_to_loops(); break
       :: else
       fi;
       if
       :: mine ->
            read_until();
            atomic {
                LOCKED;
                reading = false;
                mine = !gave_way; /* it sleeps now, but for whom it asked has left */
                if
                :: gave_way && queued[CALLER] -> offer_role(true);
#ifdef NO_LIST
                    woken[ME] = false
#else
#ifdef LETS_GO_BETWEEN
                    skip
#else
                    queue_up()
#endif
#endif
                :: gave_way && !queued[CALLER] -> mine = true
                :: else
                fi;
                gave_way = false
            }
#ifdef LETS_GO_BETWEEN
            atomic {
                LOCKED;
                if
                :: mine
                :: else -> queue_up()
                fi
            }
#endif
       :: else
       fi;
       if
       :: mine -> mine = false
       :: else ->
            if
            :: woken[ME]
            :: ME == CALLER && has_deadline && !woken[ME] -> gave_up = true
            fi
       fi
    od;
    assert(came[ME] || over || (gave_up && ME == CALLER));
    d_step {
#ifdef DRIVEN
        caller_left = caller_left || ME == CALLER;
#endif
        over = false; gave_up = false; done = false; finished++
    }
}

/* The peer may be killed here. */
#ifdef DEATH
#define MAY_DIE if :: true :: goto killed fi
#else
#define MAY_DIE skip
#endif

active proctype peer()
{
    byte was;
    bool sent[3];

    sent[ABSENT] = true; /* he is not there */
    do
    :: MAY_DIE;
       if
       :: !sent[LOOP] -> atomic { sent[LOOP] = true; ring ! LOOP }
       :: !sent[CALLER] -> atomic { sent[CALLER] = true; ring ! CALLER }
       :: !sent[BACK] -> atomic { sent[BACK] = true; ring ! BACK }
#ifdef DRIVEN
       :: !sent[CALLER] -> d_step { sent[CALLER] = true; withheld = true }
#endif
       :: sent[LOOP] && sent[CALLER] && sent[BACK] -> break
       fi;
       MAY_DIE;
       if
       :: (waiting & DATA) == 0
       :: else ->
            d_step { was = waiting; waiting = 0 }
            if
            :: was == 0
            :: else ->
                MAY_DIE;
                d_step { hint = true; asleep = false }
                MAY_DIE;
                if
                :: (was & EVENT) != 0 && peer_has_event -> edge = true
                :: else
                fi
            fi;
            was = 0
       fi
    od;
#ifdef DEATH
    goto lives;
killed:
    peer_alive = false;
lives:
#endif
    skip
}

#ifdef DEATH
active proctype watcher()
{
    !peer_alive;
    atomic {
        LOCKED;
        dead_seen = true;
        woken[CALLER] = woken[CALLER] || queued[CALLER];
        woken[BACK] = woken[BACK] || queued[BACK];
        queued[CALLER] = false;
        queued[BACK] = false;
        hint = true;
        asleep = false;
#ifndef NO_WAKE_AT_DEATH
        edge = edge || armed;
        armed = false
#endif
    }
}
#else
active proctype receiver()
{
    peer_has_event = true;
#ifndef NO_SET_ON_ARRIVAL
    edge = true
#endif
}

/* A second loop, which nobody runs any more, or none. */
active proctype stopped()
{
    if
    :: atomic { LOCKED; still_armed = true }
    :: true
    fi
}
#endif

/* When nothing can move any more, everybody has come back. */
active proctype judge()
{
    timeout;
#ifdef DRIVEN
    assert(finished == 1 + WAITERS || (withheld && !caller_left && finished == WAITERS))
#else
    assert(finished == 1 + WAITERS)
#endif
}
