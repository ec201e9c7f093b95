/* SPDX-License-Identifier: MIT */
/*
 * pin.h - a processor for each of two threads that are to meet at the same moment.
 *
 * Without it both may share one for seconds, on a machine that does other things too, and never meet.
 */
#ifndef RBR_TESTS_PIN_H
#define RBR_TESTS_PIN_H

/* How many processors this process may use. */
int pin_processors(void);
/* The calling thread stays on the nth of them, from 0. */
void pin_to(int nth);

#endif
