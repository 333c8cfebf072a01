/* SPDX-License-Identifier: MIT */
/* operator new that fails when told to, in the thread that calls oom_begin() and in those of the
 * library. */
#ifndef DQC_TESTS_OOM_FAILING_NEW_H
#define DQC_TESTS_OOM_FAILING_NEW_H

#ifdef __cplusplus
extern "C" {
#endif

/* Fail the n-th allocation from now on, counted from 1; with `sticky` all that follow it too. */
void oom_begin(long n, int sticky);
/* Allocations since oom_begin(). */
long oom_count(void);
/* 1 if an allocation was failed. */
int oom_end(void);
/* 1 if the leak checker of the build finds a leak; prints it. */
int oom_leaks(void);

#ifdef __cplusplus
}
#endif

#endif
