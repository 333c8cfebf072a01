// Replays inputs through a fuzz target without libFuzzer, so that a corpus is a test under any
// compiler. Arguments are files and folders; a folder stands for every file below it.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;

// Sorted, so that two runs and two machines replay in the same order.
std::vector<fs::path> inputs_below(const fs::path& root) {
  if (!fs::is_directory(root)) return {root};
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void replay(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) throw std::runtime_error("cannot read " + file.string());
  const std::vector<char> read{std::istreambuf_iterator<char>(stream), {}};

  // An allocation of exactly the input's size, so that a sanitizer sees the first byte past it.
  const auto input = std::make_unique<std::uint8_t[]>(read.size());
  std::copy(read.begin(), read.end(), input.get());

  (void)LLVMFuzzerTestOneInput(input.get(), read.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t count = 0;
  fs::path current;
  try {
    for (int i = 1; i < argc; ++i) {
      for (const fs::path& file : inputs_below(argv[i])) {
        current = file;
        std::printf("%s\n", file.c_str());
        std::fflush(stdout);  // the last name printed is the input of a crash
        replay(file);
        ++count;
      }
    }
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s: %s\n", current.c_str(), failure.what());
    return 1;
  }
  std::printf("replayed %zu inputs\n", count);
  return 0;
}
