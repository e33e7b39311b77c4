/* build_modules.h - where a program that is run from the build tree finds its modules. */
#ifndef MDFH_TOOLS_BUILD_MODULES_H
#define MDFH_TOOLS_BUILD_MODULES_H

/* Look for modules in folder, or, if it is NULL, in modules/ beside the program where there is such
 * a folder. 0, or a negative error with its sentence. */
int build_modules_use(const char *folder);

#endif
