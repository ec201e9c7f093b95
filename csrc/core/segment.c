/* SPDX-License-Identifier: MIT */
/*
 * segment.c - creating, checking and mapping shared memory. Who the peer is, and how the fd gets
 * there, is not known here.
 */
#include "segment.h"

#include "os.h"

#include <stdlib.h>
#include <unistd.h>

static rbr_status
map_rings(rbr_segment *segment, int fd, rbr_error *err)
{
    void *base;
    rbr_status status;
    int ring;

    for (ring = 0; ring < 2; ring++) {
        status = rbr_os_map_twice(&base, fd,
                                  RBR_RING_DATA_OFFSET + (uint64_t)ring * segment->ring_bytes,
                                  segment->ring_bytes, err);
        if (status != RBR_OK)
            return status;
        segment->data[ring] = base;
    }
    return RBR_OK;
}

static uint64_t
segment_bytes(uint32_t ring_bytes)
{
    return RBR_RING_DATA_OFFSET + 2 * (uint64_t)ring_bytes;
}

rbr_status
rbr_segment_create(rbr_segment *out, int *fd, uint32_t ring_bytes, uint64_t session,
                   enum rbr_memory memory, rbr_error *err)
{
    rbr_segment fresh = {.ring_bytes = ring_bytes};
    void *base;
    bool sealed;
    int memory_fd;
    rbr_status status;

    assert(rbr_is_power_of_two(ring_bytes));
    status = rbr_os_shared_create(&memory_fd, &sealed, segment_bytes(ring_bytes), memory, err);
    if (status != RBR_OK)
        return status;
    status = rbr_os_map(&base, memory_fd, RBR_RING_DATA_OFFSET, true, err);
    if (status != RBR_OK)
        goto fail;
    fresh.shared = base;
    fresh.shared->magic = RBR_SEGMENT_MAGIC; /* the rest is zero: fresh memory */
    fresh.shared->session = session;
    fresh.shared->ring_bytes = ring_bytes;
    status = map_rings(&fresh, memory_fd, err);
    if (status != RBR_OK)
        goto fail;
    *out = fresh;
    *fd = memory_fd;
    return RBR_OK;

fail:
    rbr_segment_detach(&fresh);
    close(memory_fd);
    return status;
}

rbr_status
rbr_segment_attach(rbr_segment *out, int fd, uint32_t ring_bytes, uint64_t session, rbr_error *err)
{
    rbr_segment fresh = {.ring_bytes = ring_bytes};
    void *base;
    rbr_status status;

    if (!rbr_is_power_of_two(ring_bytes) || ring_bytes < RBR_RING_BYTES_MIN ||
        ring_bytes > RBR_RING_BYTES_MAX)
        return rbr_fail(err, RBR_BROKEN, "the host offers rings of %u bytes", ring_bytes);
    status = rbr_os_shared_check(fd, segment_bytes(ring_bytes), err);
    if (status != RBR_OK)
        return status;
    status = rbr_os_map(&base, fd, RBR_RING_DATA_OFFSET, true, err);
    if (status != RBR_OK)
        return status;
    fresh.shared = base;
    if (fresh.shared->magic != RBR_SEGMENT_MAGIC || fresh.shared->session != session ||
        fresh.shared->ring_bytes != ring_bytes)
        status = rbr_fail(err, RBR_BROKEN, "the received segment is not this channel's");
    else
        status = map_rings(&fresh, fd, err);
    if (status != RBR_OK) {
        rbr_segment_detach(&fresh);
        return status;
    }
    *out = fresh;
    return RBR_OK;
}

void
rbr_segment_detach(rbr_segment *segment)
{
    int ring;

    for (ring = 0; ring < 2; ring++)
        rbr_os_unmap(segment->data[ring], 2 * (uint64_t)segment->ring_bytes);
    rbr_os_unmap(segment->shared, RBR_RING_DATA_OFFSET);
    *segment = (rbr_segment){0};
}

static rbr_status
mapping_new(rbr_mapping **out, int fd, uint64_t bytes, uint16_t index, rbr_error *err)
{
    rbr_mapping *fresh = malloc(sizeof *fresh);
    void *base;
    rbr_status status;

    if (fresh == NULL)
        return rbr_fail(err, RBR_NO_MEMORY, "out of memory");
    status = rbr_os_map(&base, fd, bytes, true, err);
    if (status != RBR_OK) {
        free(fresh);
        return status;
    }
    *fresh = (rbr_mapping){.refs = 1, .index = index, .base = base, .bytes = bytes};
    *out = fresh;
    return RBR_OK;
}

rbr_status
rbr_mapping_create(rbr_mapping **out, int *fd, uint64_t bytes, uint16_t index,
                   enum rbr_memory memory, rbr_error *err)
{
    bool sealed;
    int memory_fd;
    rbr_status status = rbr_os_shared_create(&memory_fd, &sealed, bytes, memory, err);

    if (status != RBR_OK)
        return status;
    status = mapping_new(out, memory_fd, bytes, index, err);
    if (status != RBR_OK)
        close(memory_fd);
    else
        *fd = memory_fd;
    return status;
}

rbr_status
rbr_mapping_attach(rbr_mapping **out, int fd, uint64_t bytes, uint16_t index, rbr_error *err)
{
    const rbr_status status = rbr_os_shared_check(fd, bytes, err);

    return status == RBR_OK ? mapping_new(out, fd, bytes, index, err) : status;
}

void
rbr_mapping_retain(rbr_mapping *mapping)
{
    atomic_fetch_add_explicit(&mapping->refs, 1, memory_order_relaxed);
}

void
rbr_mapping_release(rbr_mapping *mapping)
{
    /* acq_rel: all uses of the memory, by whichever thread, come before the unmapping. */
    RBR_VERIFY(mapping->refs > 0);
    if (atomic_fetch_sub_explicit(&mapping->refs, 1, memory_order_acq_rel) == 1) {
        rbr_os_unmap(mapping->base, mapping->bytes);
        free(mapping);
    }
}
