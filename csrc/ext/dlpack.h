/* SPDX-License-Identifier: MIT */
/*
 * dlpack.h - private: as much of DLPack's memory layout as a consumer needs.
 *
 * The layout, names and numbers are those of github.com/dmlc/dlpack (include/dlpack/dlpack.h), major
 * version 1 and the unversioned struct before it, and of the Python side of the array API standard.
 */
#ifndef RBR_EXT_DLPACK_H
#define RBR_EXT_DLPACK_H

#include <stdint.h>

#define DL_MAJOR 1u
#define DL_READ_ONLY 1u /* of dl_versioned.flags */

/* Memory that the CPU may read; the pinned ones belong to a GPU's driver. */
enum { DL_CPU = 1, DL_CUDA_PINNED = 3, DL_ROCM_PINNED = 11 };

enum { DL_INT, DL_UINT, DL_FLOAT, DL_OPAQUE, DL_BFLOAT, DL_COMPLEX, DL_BOOL };

typedef struct dl_tensor {
    void *data;
    int32_t device_type, device_id;
    int32_t ndim;
    uint8_t code, bits; /* of the dtype */
    uint16_t lanes;
    int64_t *shape;
    int64_t *strides; /* in elements; NULL: C order */
    uint64_t byte_offset;
} dl_tensor;

/* In a capsule "dltensor". A consumer renames the capsule and calls the deleter, once. */
typedef struct dl_managed {
    dl_tensor tensor;
    void *context;
    void (*deleter)(struct dl_managed *self);
} dl_managed;

/* In a capsule "dltensor_versioned". Of another major version only what stands before `flags` may
 * be touched. */
typedef struct dl_versioned {
    uint32_t major, minor;
    void *context;
    void (*deleter)(struct dl_versioned *self);
    uint64_t flags;
    dl_tensor tensor;
} dl_versioned;

#endif
