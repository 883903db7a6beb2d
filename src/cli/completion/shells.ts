/** The completion script of each shell. All of them find the place in the command line, and ask a table in the shell's own words. */
import type { CompletionTable, Step } from './table.ts';

export const SHELLS = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
} as const satisfies Record<string, (table: CompletionTable) => string>;

/** A pattern of `case`: quoted, the `*` at its end apart. */
function pattern(after: string): string {
  return after.endsWith(' *') ? `'${after.slice(0, -1)}'*` : `'${after}'`;
}

function setStep(indent: string, { after, words, files }: Step, prefix = ''): string {
  const list = words.length > 0 ? ` list='${words.join(' ')}'` : '';
  return `${indent}${prefix}${pattern(after)})${list}${files ? ' files=1' : ''} ;;\n`;
}

/** What bash and zsh share: functions of POSIX's language that set `list` and `files`. */
function posixTable({ steps, options, own, valued }: CompletionTable): string {
  const optionCases = [...options]
    .map(([name, list]) => `    ${name === '*' ? '*' : `'${name}'`}) list='${list.join(' ')}' ;;\n`)
    .join('');
  return `# Sets list and files to what may come at a place in the command line.
_skep_next() {
  list= files=
  case "$1" in
${steps.map((one) => setStep('    ', one)).join('')}  esac
}

# Sets list to the options of a command.
_skep_options() {
  list= files=
  case "$1" in
${optionCases}  esac
}

# Takes the words before the cursor without the program's name, and the one at the cursor; sets list and files.
_skep_find() {
  local place= first= last= count=0 skip= own= current="$1"
  shift
  while [ $# -gt 0 ]; do
    last="$1"
    if [ -n "$skip" ]; then
      skip=
    elif [ -z "$own" ]; then
      case "$1" in
        ${valued.map(({ after }) => after).join('|')}) skip=1 ;;
        -*) ;;
        *)
          count=$((count + 1))
          case "$count" in
            1) first="$1" place="$1" ;;
            2) place="$place $1" ;;
            3) place="$place *" ;;
          esac
          ;;
      esac
      if [ "$count" = 1 ]; then case "$first" in ${own.join('|')}) own=1 ;; esac; fi
    fi
    shift
  done
  if [ -n "$skip" ]; then
    list= files=
    case "$last" in
${valued.map((one) => setStep('      ', one)).join('')}    esac
    return
  fi
  case "$own$last" in
    1-*) _skep_next "$first $last"; if [ -n "$list$files" ]; then return; fi ;;
  esac
  case "$current" in
    -*) _skep_options "\${first:-*}"; return ;;
  esac
  if [ "$count" -gt 2 ]; then place="\${place% *} $last"; fi
  _skep_next "$place"
}
`;
}

function bashScript(table: CompletionTable): string {
  return `# Completion of skep for bash: source <(skep completion bash)
${posixTable(table)}
_skep() {
  local list files IFS=$' \\t\\n' current="\${COMP_WORDS[COMP_CWORD]}"
  _skep_find "$current" "\${COMP_WORDS[@]:1:COMP_CWORD-1}"
  COMPREPLY=($(compgen -W "$list" -- "$current"))
  if [ -n "$files" ]; then
    IFS=$'\\n'
    COMPREPLY+=($(compgen -f -- "$current"))
    type compopt >/dev/null 2>&1 && compopt -o filenames 2>/dev/null
  fi
  return 0
}
complete -F _skep skep
`;
}

function zshScript(table: CompletionTable): string {
  return `#compdef skep
# Completion of skep for zsh: source <(skep completion zsh), or a file _skep in a folder of $fpath
${posixTable(table)}
_skep() {
  local list files
  _skep_find "\${words[CURRENT]}" "\${(@)words[2,CURRENT-1]}"
  [ -n "$list" ] && compadd -- \${=list}
  [ -n "$files" ] && _files
  return 0
}
if [ "\${funcstack[1]}" = _skep ]; then _skep "$@"; else compdef _skep skep; fi
`;
}

function fishStep({ after, words, files }: Step): string {
  const lines = [
    ...(words.length > 0 ? [`            printf '%s\\n' ${words.join(' ')}`] : []),
    ...(files ? ['            __fish_complete_path (commandline -ct)'] : []),
  ];
  return `        case '${after}'\n${lines.map((line) => `${line}\n`).join('')}`;
}

function fishScript({ steps, options, own, valued }: CompletionTable): string {
  const optionCases = [...options]
    .map(([name, list]) => `        case '${name}'\n            printf '%s\\n' ${list.join(' ')}\n`)
    .join('');
  const names = valued.map(({ after }) => after).join(' ');
  return `# Completion of skep for fish: skep completion fish | source
# Prints what may come at a place in the command line.
function __skep_next
    switch "$argv[1]"
${steps.map(fishStep).join('')}    end
end

# Prints the options of a command.
function __skep_options
    switch "$argv[1]"
${optionCases}    end
end

function __skep_complete
    set -l given (commandline -opc)
    set -e given[1]
    set -l current (commandline -ct)
    set -l plain
    set -l skip ''
    set -l own ''
    set -l last ''
    for word in $given
        set last $word
        if test -n "$skip"
            set skip ''
        else if test -z "$own"
            if contains -- $word ${names}
                set skip 1
            else if not string match -q -- '-*' $word
                set -a plain $word
                if test (count $plain) -eq 1; and contains -- $word ${own.join(' ')}
                    set own 1
                end
            end
        end
    end
    if test -n "$skip"
        switch $last
${valued.map((one) => fishStep(one)).join('')}        end
        return
    end
    if test -n "$own"; and string match -q -- '-*' $last
        set -l found (__skep_next "$plain[1] $last")
        if test -n "$found"
            printf '%s\\n' $found
            return
        end
    end
    if string match -q -- '-*' $current
        __skep_options "$plain[1]"
        return
    end
    if test (count $plain) -gt 2
        __skep_next "$plain[1] $plain[2] $last"
    else
        __skep_next "$plain"
    end
end
complete -c skep -f -a '(__skep_complete)'
`;
}
