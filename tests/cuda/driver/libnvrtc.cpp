// A compiler that compiles nothing: the calls of libnvrtc.so.12 that skydose
// makes. Its code is the text of the options, which the driver beside it reads;
// the kernels are compiled by the real one in tests of their own.
//
//   SKYDOSE_FAKE_NVRTC_FAULT=compile   no source compiles
//   SKYDOSE_FAKE_NVRTC_LOG=FILE        a line a compilation is added to FILE
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

struct Program {
    std::string source;
    std::set<std::string> headers;
    std::string code;
    std::string log;
};

namespace {

// Every file that is included must be among the headers given.
bool includes_are_given(const Program& program, const std::string& text, std::string& missing) {
    static const std::string MARK = "#include \"";
    for (std::size_t at = text.find(MARK); at != std::string::npos; at = text.find(MARK, at + 1)) {
        const std::size_t start = at + MARK.size();
        missing = text.substr(start, text.find('"', start) - start);
        if (program.headers.count(missing) == 0) return false;
    }
    return true;
}

}  // namespace

extern "C" {

int nvrtcVersion(int* major, int* minor) {
    *major = 12;
    *minor = 9;
    return 0;
}

int nvrtcGetNumSupportedArchs(int* count) {
    *count = 5;
    return 0;
}

int nvrtcGetSupportedArchs(int* architectures) {
    const int known[] = {70, 75, 80, 86, 90};
    std::memcpy(architectures, known, sizeof(known));
    return 0;
}

int nvrtcCreateProgram(Program** program, const char* source, const char*, int count, const char* const* headers,
                       const char* const* names) {
    *program = new Program{source, {}, "", ""};
    std::string all = source;
    for (int i = 0; i < count; ++i) {
        (*program)->headers.insert(names[i]);
        all += headers[i];
    }
    (*program)->source = all;
    return 0;
}

int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
    std::string missing;
    if (!includes_are_given(*program, program->source, missing)) {
        program->log = "error: cannot open source file \"" + missing + "\"";
        return 6;
    }
    if (std::getenv("SKYDOSE_FAKE_NVRTC_FAULT") != nullptr) {
        program->log = "error: as it was asked for";
        return 6;
    }
    bool has_target = false;
    std::string text = "skydose options:";
    for (int i = 0; i < count; ++i) {
        const std::string option = options[i];
        has_target |= option.rfind("--gpu-architecture=", 0) == 0;
        if (option.rfind("-DSKYDOSE_", 0) == 0) text += " " + option.substr(10);
    }
    if (!has_target) {
        program->log = "error: no architecture";
        return 5;
    }
    program->code = text + "\n";
    if (const char* path = std::getenv("SKYDOSE_FAKE_NVRTC_LOG")) {
        if (FILE* file = std::fopen(path, "a")) {
            std::fputs(program->code.c_str(), file);
            std::fclose(file);
        }
    }
    return 0;
}

int nvrtcDestroyProgram(Program** program) {
    delete *program;
    *program = nullptr;
    return 0;
}

int nvrtcGetProgramLogSize(Program* program, std::size_t* size) {
    *size = program->log.size() + 1;
    return 0;
}

int nvrtcGetProgramLog(Program* program, char* log) {
    std::memcpy(log, program->log.c_str(), program->log.size() + 1);
    return 0;
}

int nvrtcGetCUBINSize(Program* program, std::size_t* size) {
    *size = program->code.size() + 1;
    return 0;
}

int nvrtcGetCUBIN(Program* program, char* code) {
    std::memcpy(code, program->code.c_str(), program->code.size() + 1);
    return 0;
}

int nvrtcGetPTXSize(Program* program, std::size_t* size) { return nvrtcGetCUBINSize(program, size); }

int nvrtcGetPTX(Program* program, char* code) { return nvrtcGetCUBIN(program, code); }

}  // extern "C"
