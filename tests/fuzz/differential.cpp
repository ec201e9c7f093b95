// SPDX-License-Identifier: MIT
//
// differential.cpp - FlatBuffers' own verifier against ours, over mutants of frames.
//
//   differential MUTANTS FOLDER...     the folders hold frames to begin with; RBR_SEED repeats a run
//
// What we accept, the official verifier must accept, and the accepted frame is read whole. The
// other way round we are stricter: how often, and why, is counted. A mutant that breaks the rule is
// left in differential.bin, in the working directory.
#include "wire_generated.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

extern "C" {
#include "flatbuf_frames.h"
#include "soak.h"
}

namespace
{

using Frame = std::vector<uint8_t>;

// More than these, a frame is taken from the pool whole again: mutants of mutants grow.
constexpr size_t kFrameMax = 8192;
// Accepted mutants that are bases of further ones.
constexpr size_t kDescendants = 256;
constexpr unsigned kDefects = RBR_DEFECT_REFS + 1;

uint64_t random_state;

uint64_t
random_next()
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * UINT64_C(0x2545F4914F6CDD1D) >> 11;
}

size_t
below(size_t limit)
{
    return random_next() % limit;
}

struct Pool {
    std::vector<Frame> frames; // the given ones, then descendants
    size_t given = 0;

    const Frame &
    any() const
    {
        return frames[below(frames.size())];
    }

    void
    keep(const Frame &frame)
    {
        if (frame.size() > kFrameMax)
            return;
        if (frames.size() < given + kDescendants)
            frames.push_back(frame);
        else
            frames[given + below(kDescendants)] = frame;
    }
};

struct Tally {
    uint64_t mutants = 0, both = 0, neither = 0, stricter = 0;
    uint64_t stricter_by[kDefects] = {};
};

// ------------------------------------------------------------------------------------- mutations

void
put_word(Frame &frame, size_t width, uint64_t value)
{
    if (frame.size() < width)
        return;
    memcpy(&frame[below(frame.size() / width) * width], &value, width);
}

void
put_interesting(Frame &frame)
{
    static const uint64_t values[] = {0,          1,          2,          3,          4,
                                      5,          6,          8,          0x7f,       0x80,
                                      0xff,       0xfffc,     0xffff,     0x7fffffff, 0x80000000,
                                      0x3fffffff, 0xfffffff0, 0xfffffffc, 0xffffffff, 64};
    const size_t width = size_t(1) << below(3);

    // One in four: the frame's own size or a place in it, which a bound is tested against.
    if (below(4) == 0)
        put_word(frame, width, frame.size() - 4 * below(4));
    else
        put_word(frame, width, values[below(std::size(values))]);
}

void
move_offset(Frame &frame)
{
    const size_t width = below(2) == 0 ? 2 : 4;
    const size_t at = frame.size() < width ? 0 : below(frame.size() / width) * width;
    const int64_t step = (int64_t)below(17) - 8;
    uint64_t value = 0;

    if (frame.size() < width)
        return;
    memcpy(&value, &frame[at], width);
    value += (uint64_t)(below(2) == 0 ? step : 4 * step);
    memcpy(&frame[at], &value, width);
}

// A run of words from the same or another place of some frame.
void
splice(Frame &frame, const Frame &from)
{
    const size_t words = 1 + below(8);
    const size_t to = below(frame.size() / 4 + 1) * 4;
    const size_t at = below(2) == 0 ? to : below(from.size() / 4 + 1) * 4;
    const size_t bytes = 4 * words;

    if (to + bytes <= frame.size() && at + bytes <= from.size())
        memcpy(&frame[to], &from[at], bytes);
}

void
resize(Frame &frame)
{
    if (below(2) == 0)
        frame.resize(below(frame.size() + 1));
    else
        frame.resize(frame.size() + below(65), (uint8_t)(below(2) * 0xff));
}

void
mutate(Frame &frame, const Pool &pool)
{
    switch (below(16)) {
    case 0:
        resize(frame);
        break;
    case 1:
    case 2:
        splice(frame, pool.any());
        break;
    case 3:
    case 4:
    case 5:
        move_offset(frame);
        break;
    case 6:
    case 7:
    case 8:
        put_interesting(frame);
        break;
    case 9:
        put_word(frame, 8, random_next());
        break;
    default:
        if (!frame.empty())
            frame[below(frame.size())] ^= (uint8_t)(1u << below(8));
    }
}

// ------------------------------------------------------------------------------------- the two

bool
theirs_accepts(const uint8_t *bytes, size_t size)
{
    // Room enough: the limits are ours, and what they refuse must not hide a difference.
    flatbuffers::Verifier verifier(bytes, size, 2 * RBR_DEPTH_MAX, 2 * RBR_TABLES_MAX);

    return ringbridge::wire::VerifyFrameBuffer(verifier);
}

// False: we accept what they refuse.
bool
compare(const Frame &frame, Tally &tally, bool *accepted)
{
    static uint32_t positions[1 << 16];
    // Exactly so long: AddressSanitizer sees a read beyond it.
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[frame.size() + (frame.empty() ? 1 : 0)]);
    rbr_verdict found = {};
    rbr_table top;

    memcpy(copy.get(), frame.data(), frame.size());
    found.refs_max = std::size(positions);
    found.ref_at = positions;
    const bool ours = rbr_verify(copy.get(), (uint32_t)frame.size(), &top, &found) == RBR_OK;
    // Their verifier asserts nothing of a buffer that is too short to hold an identifier.
    const bool theirs = frame.size() >= 8 && theirs_accepts(copy.get(), frame.size());

    tally.mutants++;
    *accepted = ours;
    if (ours)
        walk(top);
    if (ours && theirs)
        tally.both++;
    else if (!ours && !theirs)
        tally.neither++;
    else if (!ours) {
        tally.stricter++;
        tally.stricter_by[found.defect]++;
    }
    return !ours || theirs;
}

void
load(Pool &pool, const char *folder)
{
    for (const auto &entry : std::filesystem::recursive_directory_iterator(folder)) {
        std::ifstream file(entry.path(), std::ios::binary);

        if (entry.is_regular_file() && entry.file_size() <= kFrameMax)
            pool.frames.emplace_back(std::istreambuf_iterator<char>(file),
                                     std::istreambuf_iterator<char>());
    }
    pool.given = pool.frames.size();
}

void
report(const Tally &tally)
{
    const double all = tally.mutants > 0 ? (double)tally.mutants : 1;

    printf("%llu mutants: %llu accepted by both (%.1f %%), %llu by neither, %llu only by theirs\n",
           (unsigned long long)tally.mutants, (unsigned long long)tally.both,
           100 * (double)tally.both / all, (unsigned long long)tally.neither,
           (unsigned long long)tally.stricter);
    for (unsigned defect = 0; defect < kDefects; defect++)
        if (tally.stricter_by[defect] != 0)
            printf("  only we refuse: %10llu  defect %2u, %s\n",
                   (unsigned long long)tally.stricter_by[defect], defect,
                   rbr_defect_text((rbr_defect)defect));
}

int
found_difference(const Frame &frame)
{
    std::ofstream("differential.bin", std::ios::binary)
        .write((const char *)frame.data(), (std::streamsize)frame.size());
    fprintf(stderr, "we accept a frame that FlatBuffers refuses: differential.bin, %zu bytes\n",
            frame.size());
    return 1;
}

} // namespace

int
main(int argc, char **argv)
{
    const char *given = getenv("RBR_SEED");
    const uint64_t seed = given != nullptr ? strtoull(given, nullptr, 10) : std::random_device{}();
    Tally tally;
    Pool pool;

    if (argc < 3) {
        fprintf(stderr, "differential MUTANTS FOLDER...\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        load(pool, argv[i]);
    printf("RBR_SEED=%llu, %zu frames to begin with\n", (unsigned long long)seed,
           pool.frames.size());
    if (pool.frames.empty())
        return 2;
    random_state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (const uint64_t wanted = strtoull(argv[1], nullptr, 10); tally.mutants < wanted;) {
        Frame frame = pool.any();
        bool accepted;

        for (size_t left = 1 + below(3); left > 0; left--)
            mutate(frame, pool);
        if (!compare(frame, tally, &accepted))
            return found_difference(frame);
        if (accepted && below(64) == 0)
            pool.keep(frame);
    }
    report(tally);
    soak_count("differential mutants", tally.mutants);
    // Mutants that are all refused would show nothing.
    if (tally.both * 10 < tally.mutants) {
        fprintf(stderr, "fewer than a tenth of the mutants are accepted: too wild a mutator\n");
        return 1;
    }
    return 0;
}
