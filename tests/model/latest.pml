/* SPDX-License-Identifier: MIT */
/*
 * latest.pml - the latest-value buffer: one writer, two readers that take what they are offered, and
 * may be killed between any two steps and replaced.
 *
 *   here                    in csrc/core
 *   publish                 latest.c rbr_latest_claim, rbr_latest_publish; between the two, the
 *                           payload is written
 *   drop                    latest.c rbr_latest_drop_reader, once the reader has ended
 *   take, release           latest.c rbr_latest_take, rbr_latest_release; between the two, the
 *                           reader looks at the item, twice
 *
 * A payload is two words, both the item's sequence. Memory is sequentially consistent here: all
 * order comes from the exchanges, so what a weak machine or a compiler could do is move a step
 * across one. There is a mutant for each way that matters: OFFERED_BEFORE_WRITTEN (publish does not
 * release), READ_BEFORE_TAKEN (take does not acquire), READ_AFTER_NEXT (take does not release),
 * READ_AFTER_RELEASE (release does not).
 *
 * Shown, for every order of all steps
 *   - what a reader has taken is whole, and stays so until it releases it or takes the next item
 *   - each reader sees items grow newer, and the last one reaches each, also one that came for another
 *   - the writer always has a slot, and waits for nobody
 *
 * A mutant is one -D of those that `run` lists; each has to fail.
 */
#define ITEMS 4
#define READERS 2
#ifdef ONE_SLOT_LESS
#define SLOTS (1 + READERS)
#else
#define SLOTS (2 + READERS)
#endif
#define TAKEN 0
#define RELEASED 1
#define NO_SLOT 9

#define OFFER(sequence, slot) ((sequence) * 8 + (slot))
#define SEQUENCE(offer) ((offer) / 8)
#define SLOT(offer) ((offer) % 8)

#define ME (_pid - 1)

/* Shared memory. */
byte offer[READERS];
byte first[SLOTS], second[SLOTS]; /* the payloads */

bool dead[READERS];               /* a pidfd says so */
bool killed[READERS];             /* each of them, once */
byte finished;

/* The writer's own. */
byte newest;
byte held[READERS];

#define is_held(slot) (held[0] == (slot) || held[1] == (slot))
#define is_free(slot) (!is_held(slot) && !(newest != TAKEN && SLOT(newest) == (slot)))

/* All of it is the writer's own, so it is one step. */
inline claim()
{
    d_step {
        slot = 0;
        do
        :: slot < SLOTS && !is_free(slot) -> slot++
        :: else -> break
        od;
        assert(slot < SLOTS) /* room */
    }
}

/* The word's old value is compared with what was offered last. */
inline exchange_offer(to)
{
#ifdef PUBLISH_IN_TWO_STEPS
    was = offer[to];
    offer[to] = OFFER(sequence, slot);
#else
    atomic { was = offer[to]; offer[to] = OFFER(sequence, slot) }
#endif
#ifndef NO_HELD
    if
    :: was == RELEASED -> held[to] = NO_SLOT
    :: was > RELEASED && was == newest
    :: was == TAKEN -> held[to] = (newest == TAKEN -> NO_SLOT : SLOT(newest))
    fi;
#endif
    was = 0
}

inline write_payload()
{
    first[slot] = sequence;
    second[slot] = sequence
}

inline drop(who)
{
    held[who] = NO_SLOT;
#ifndef DROP_OFFERS_NOTHING
    offer[who] = newest;
#endif
    dead[who] = false /* its number is another's now */
}

inline publish()
{
    claim();
#ifndef OFFERED_BEFORE_WRITTEN
    write_payload();
#endif
    if /* the claim is still good */
    :: dead[0] -> drop(0)
    :: true
    fi;
    exchange_offer(0);
    exchange_offer(1);
#ifdef OFFERED_BEFORE_WRITTEN
    write_payload();
#endif
    newest = OFFER(sequence, slot)
}

active proctype writer()
{
    byte sequence = 1, slot, was;

    held[0] = NO_SLOT;
    held[1] = NO_SLOT;
    do
    :: sequence <= ITEMS -> publish(); sequence++
    :: dead[0] -> drop(0)
    :: dead[1] -> drop(1)
    od
}

/* The reader may be killed here. */
#define MAY_DIE if :: !killed[ME] -> killed[ME] = true; goto ended :: true fi

#define has_newer (offer[ME] > RELEASED)

inline take()
{
#ifdef TAKE_IN_TWO_STEPS
    taken = offer[ME];
    offer[ME] = TAKEN;
#else
    atomic { taken = offer[ME]; offer[ME] = TAKEN }
#endif
    assert(SEQUENCE(taken) > before); /* newer */
    before = SEQUENCE(taken)
}

inline release()
{
#ifdef RELEASE_IN_TWO_STEPS
    if
    :: offer[ME] == TAKEN -> offer[ME] = RELEASED
    :: else
    fi
#else
    atomic {
        if
        :: offer[ME] == TAKEN -> offer[ME] = RELEASED
        :: else
        fi
    }
#endif
}

active [READERS] proctype reader()
{
    byte taken, before, one, two, last;

again:
    do
    :: before == ITEMS -> break
    :: has_newer ->
        MAY_DIE;
#ifdef READ_BEFORE_TAKEN
        one = first[SLOT(offer[ME])];
#endif
#ifdef READ_AFTER_NEXT
        last = taken;
        two = before;
#endif
        take();
#ifdef READ_AFTER_NEXT
        assert(last == 0 || first[SLOT(last)] == two); /* the item before */
        last = 0;
#endif
        MAY_DIE;
#ifndef READ_BEFORE_TAKEN
        one = first[SLOT(taken)];
#endif
        two = second[SLOT(taken)];
        assert(one == before && two == before);
        one = 0;
        two = 0;
        MAY_DIE;
        assert(first[SLOT(taken)] == before && second[SLOT(taken)] == before); /* still */
#ifndef READ_AFTER_NEXT
        if
        :: true -> release()
        :: true
        fi;
#endif
#ifdef READ_AFTER_RELEASE
        assert(second[SLOT(taken)] == before);
#endif
        MAY_DIE
    od;
    goto done;
ended:
    dead[ME] = true;
    !dead[ME]; /* another begins */
    d_step { before = 0; taken = 0; one = 0; two = 0; last = 0 }
    goto again;
done:
    finished++
}

/* When nothing can move any more, each has seen the last item. */
active proctype judge()
{
    timeout;
    assert(finished == READERS)
}
