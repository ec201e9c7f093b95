/* SPDX-License-Identifier: MIT */
/*
 * peer_boost.cpp - Boost.Interprocess: a message_queue each way. Both are made before the fork, and
 * their names removed at once: who is killed leaves none behind.
 */
#include "peer.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

namespace
{

using Queue = boost::interprocess::message_queue;

constexpr uint32_t messages_max = 4096;

struct Peer {
    bench_peer_setup setup;
    std::unique_ptr<Queue> queues[2]; /* by the side that receives */
    int side = 0;
    std::vector<uint8_t> to, from;
    bool pending = false; /* `to` has not been sent */

    explicit Peer(const bench_peer_setup &given) : setup(given), to(given.bytes), from(given.bytes)
    {
    }
};

std::unique_ptr<Queue>
new_queue(const bench_peer_setup &setup, int side)
{
    const uint32_t fit = setup.room_bytes / setup.bytes;
    const std::string name = std::string("ringbench-") + setup.unique + "-" + std::to_string(side);
    auto queue = std::make_unique<Queue>(boost::interprocess::create_only, name.c_str(),
                                         fit < messages_max ? fit : messages_max, setup.bytes);

    Queue::remove(name.c_str());
    return queue;
}

/* Exceptions end here. */
template <typename Work>
auto
guarded(const bench_peer_setup &setup, const char *what, Work work) -> decltype(work())
{
    try {
        return work();
    } catch (const std::exception &error) {
        setup.fail("%s: %s", what, error.what());
    }
}

void *
peer_open(const bench_peer_setup *setup)
{
    return guarded(*setup, "message_queue", [&] {
        auto all = std::make_unique<Peer>(*setup);

        for (int side = 0; side < 2; side++)
            all->queues[side] = new_queue(*setup, side);
        return static_cast<void *>(all.release());
    });
}

void
peer_attach(void *peer, int side)
{
    static_cast<Peer *>(peer)->side = side;
}

bool
peer_flush(void *peer, bool may_block)
{
    Peer &all = *static_cast<Peer *>(peer);

    if (all.pending)
        all.pending = guarded(all.setup, "send", [&] {
            Queue &queue = *all.queues[1 - all.side];

            if (!may_block)
                return !queue.try_send(all.to.data(), all.to.size(), 0);
            queue.send(all.to.data(), all.to.size(), 0);
            return false;
        });
    return !all.pending;
}

void *
peer_claim(void *peer, bool may_block)
{
    return peer_flush(peer, may_block) ? static_cast<Peer *>(peer)->to.data() : nullptr;
}

void
peer_send(void *peer)
{
    static_cast<Peer *>(peer)->pending = true;
}

const void *
peer_receive(void *peer, uint32_t *bytes, bool may_block)
{
    Peer &all = *static_cast<Peer *>(peer);

    return guarded(all.setup, "receive", [&]() -> const void * {
        Queue &queue = *all.queues[all.side];
        Queue::size_type got = 0;
        unsigned priority;

        if (may_block)
            queue.receive(all.from.data(), all.from.size(), got, priority);
        else if (!queue.try_receive(all.from.data(), all.from.size(), got, priority))
            return nullptr;
        *bytes = static_cast<uint32_t>(got);
        return all.from.data();
    });
}

void
peer_release(void *)
{
    /* the copy is ours */
}

void
peer_detach(void *peer)
{
    for (auto &queue : static_cast<Peer *>(peer)->queues)
        queue.reset();
}

void
peer_close(void *peer)
{
    delete static_cast<Peer *>(peer);
}

} // namespace

extern "C" {
extern __attribute__((visibility("default"))) const bench_peer bench_peer_module;
const bench_peer bench_peer_module = {
    BENCH_PEER_VERSION,  /* batches */ false, /* waits */ false, peer_open,    peer_attach,
    peer_claim,          peer_send,           peer_flush,        peer_receive, peer_release,
    /* count */ nullptr, peer_detach,         peer_close};
}
