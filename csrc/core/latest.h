/* SPDX-License-Identifier: MIT */
/*
 * latest.h - what latest.c and its tests see beside ringbridge_latest.h: the layout behind it.
 */
#ifndef RBR_LATEST_H
#define RBR_LATEST_H

#include "base.h"
#include "layout.h"

#include "ringbridge_latest.h"

#endif
