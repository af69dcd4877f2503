"""The verbs for single things (`isthmus lun create …`): each change is one edit, the same as the shell's and REST's."""
