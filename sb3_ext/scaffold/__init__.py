"""Create the directory of a new project. ``template`` is such a project, by the name ``my_project``."""
