/* SPDX-License-Identifier: MIT */
#include <dqclient/dqclient.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "cluster.hpp"
#include "dev.hpp"

constexpr int kExitUsage = 2;  // as dqc-node

int main(int argc, char** argv) {
  CLI::App app("dqc, the tool of dqclient");
  app.set_version_flag("--version", std::string("dqc ") + dqc_version());
  app.require_subcommand(1);
  int exit_code = EXIT_SUCCESS;
  dqc::tool::AddDev(app, exit_code);
  dqc::tool::AddCluster(app, exit_code);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // Help and version exit with 0; wrong arguments with 2.
    return app.exit(e) == 0 ? EXIT_SUCCESS : kExitUsage;
  } catch (const std::exception& e) {
    std::cerr << "dqc: " << e.what() << std::endl;
    return EXIT_FAILURE;
  }
  return exit_code;
}
