/* SPDX-License-Identifier: MIT */
/* reader_role.c - see reader_role.h. */
#include "reader_role.h"

#include "channel_pair.h"
#include "check.h"
#include "os.h"

void
role_set_reading(rbr_exchange *exchange, bool reading)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->reading = reading;
    pthread_mutex_unlock(&exchange->lock);
}

int
role_count_sleepers(rbr_exchange *exchange)
{
    const rbr_sleeper *sleeper;
    int count = 0;

    pthread_mutex_lock(&exchange->lock);
    for (sleeper = exchange->sleepers; sleeper != NULL; sleeper = sleeper->next)
        count++;
    pthread_mutex_unlock(&exchange->lock);
    return count;
}

void
role_await_sleepers(rbr_exchange *exchange, int wanted)
{
    const uint64_t until = in_ms(15000);

    while (role_count_sleepers(exchange) < wanted) {
        CHECK(rbr_now_ns() < until);
        rbr_os_yield();
    }
}
