# Completion for bash: `python -m asr.<TAB>` gives the commands, `model=<TAB>` the models,
# `trainer.<TAB>` the options. In a shell, or in ~/.bashrc with the file's whole path:
#
#     source scripts/completion.bash
#
# Hydra does the work (`-sc query=bash`, half a second); its own script knows `python file.py`
# alone. Of any other command than `python -m asr...`, files are completed as they were before.

_asr_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../asr" && pwd)

_asr_complete() {
  local before=${COMP_LINE:0:COMP_POINT} word candidates name i
  local -a words options=()
  read -ra words <<< "$before"
  word=${before##*[[:space:]]}
  COMPREPLY=()
  for ((i = 1; i < ${#words[@]}; i++)); do
    [[ ${words[i - 1]} == -m ]] && break
  done
  if [[ ${words[i]-} != asr* ]]; then
    return
  elif [[ ${words[i]} == "$word" ]]; then # the command itself
    candidates=$(cd "$_asr_folder" && for name in [a-z]*.py; do echo "asr.${name%.py}"; done)
  elif [[ $word != */* || $word == *=* ]]; then # with a / and no = it is a file
    for name in "${words[@]:i + 1}"; do # what came before decides which options there are
      [[ $name == [a-z+~]*=* && $name != "$word" ]] && options+=("$name")
    done
    candidates=$(COMP_LINE="${words[i]} ${options[*]} $word" \
      "${words[0]/%torchrun/python}" -m "${words[i]}" -sc query=bash 2> /dev/null)
  fi
  mapfile -t COMPREPLY < <(compgen -W "$candidates" -- "$word")
  [[ ${COMPREPLY[0]-} == *[.=] ]] && compopt -o nospace
  # Readline replaces what follows the last `=`, unless the user took it from COMP_WORDBREAKS.
  [[ $COMP_WORDBREAKS == *=* && $word == *=* ]] && COMPREPLY=("${COMPREPLY[@]#"${word%=*}="}")
}

complete -o default -F _asr_complete python python3 torchrun
