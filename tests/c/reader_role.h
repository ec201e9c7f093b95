/* SPDX-License-Identifier: MIT */
/*
 * reader_role.h - who reads a channel's ring and who sleeps meanwhile, so that a test can arrange it.
 */
#ifndef RBR_TESTS_READER_ROLE_H
#define RBR_TESTS_READER_ROLE_H

#include "channel.h"

/* As if a thread of ours held the role, or left it without offering it to anybody. */
void role_set_reading(rbr_exchange *exchange, bool reading);
int role_count_sleepers(rbr_exchange *exchange);
/* Until so many threads sleep in it. */
void role_await_sleepers(rbr_exchange *exchange, int wanted);

#endif
