/* std_streams.h - standard output as a program should leave it. */
#ifndef MDFH_APPS_STD_STREAMS_H
#define MDFH_APPS_STD_STREAMS_H

/* First thing in main. From here on a closed pipe is an error of write(2) and no death, and at the
 * end of the program, by whichever way, what standard output could not take is a sentence that
 * begins with name, and exit status 2. A pipe that nobody reads any more is its reader's choice: no
 * sentence, and the status that the work had. Called again, it changes the name. */
void std_streams_guard(const char *name);

/* Nothing more can be written to standard output: whoever has much to print may stop. */
int std_streams_closed(void);

#endif
