// SPDX-License-Identifier: MIT
//
// official_copy.cpp - frames, read and written anew by FlatBuffers' own C++ runtime.
//
//   official_copy SCHEMA.bfbs    for each frame on stdin (u32 size, u32 way, frame) writes the same
//                                frame as C++ lays it out (u32 size, frame); size 0: its verifier
//                                refused the frame
//
// The way is a sum of
//   1  equal texts are written once
//   2  a vtable for each table
//   4  through the generated classes (UnPack, Pack), where absent and empty are the same and vectors
//      have the alignment that the schema asks for; else field by field, by reflection
#define FLATBUFFERS_MAX_ALIGNMENT 64 // of Tensor.inline_data; the usual 32 is a guess at our needs
#include "flatbuffers/reflection.h"
#include "flatbuffers/util.h"
#include "wire_generated.h"

#include <cstdio>
#include <string>

namespace wire = ringbridge::wire;

enum way : uint32_t { SHARED_TEXTS = 1, OWN_VTABLES = 2, GENERATED = 4 };

static bool
read_all(void *to, size_t size)
{
    return std::fread(to, 1, size, stdin) == size;
}

static bool
write_all(const void *from, uint32_t size)
{
    return std::fwrite(&size, sizeof size, 1, stdout) == 1 &&
           std::fwrite(from, 1, size, stdout) == size;
}

static void
copy(flatbuffers::FlatBufferBuilder &builder, const reflection::Schema &schema,
     const std::string &frame, uint32_t chosen)
{
    const auto *root = flatbuffers::GetAnyRoot(reinterpret_cast<const uint8_t *>(frame.data()));

    builder.DedupVtables((chosen & OWN_VTABLES) == 0);
    if ((chosen & GENERATED) != 0) {
        wire::FrameT whole;

        wire::GetFrame(frame.data())->UnPackTo(&whole);
        wire::FinishFrameBuffer(builder, wire::Frame::Pack(builder, &whole));
        return;
    }
    builder.Finish(flatbuffers::CopyTable(builder, schema, *schema.root_table(), *root,
                                          (chosen & SHARED_TEXTS) != 0),
                   schema.file_ident()->c_str());
}

// 1: done, 0: no more frames, -1: broken input, or nobody reads the output.
static int
copy_next(const reflection::Schema &schema)
{
    flatbuffers::FlatBufferBuilder builder;
    uint32_t head[2];

    if (!read_all(head, sizeof head))
        return 0;
    std::string frame(head[0], '\0');
    if (!read_all(&frame[0], frame.size()))
        return -1;
    flatbuffers::Verifier verifier(reinterpret_cast<const uint8_t *>(frame.data()), frame.size());
    if (!wire::VerifyFrameBuffer(verifier))
        return write_all("", 0) ? 1 : -1;
    copy(builder, schema, frame, head[1]);
    return write_all(builder.GetBufferPointer(), builder.GetSize()) ? 1 : -1;
}

int
main(int argc, char **argv)
{
    std::string schema;
    int status;

    if (argc != 2 || !flatbuffers::LoadFile(argv[1], true, &schema)) {
        std::fprintf(stderr, "official_copy SCHEMA.bfbs\n");
        return 2;
    }
    while ((status = copy_next(*reflection::GetSchema(schema.data()))) == 1)
        ;
    return status < 0 ? 1 : 0;
}
