
# Names of overlays and extensions where one is expected; none for who may not list them.
_onlay_names() {
    _onlay "$@"
    local index word value command='' verb='' given=0 place=() list=(list)
    for ((index = 1; index < COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        case $word in
        --)
            [[ $command == @(@RUNS@) ]] || continue
            COMPREPLY=()
            if declare -F _command_offset >/dev/null; then
                _command_offset $((index + 1))
            elif ((index + 1 == COMP_CWORD)); then
                COMPREPLY=($(compgen -c -- "$2"))
            fi
            return
            ;;
        @VALUED@)
            # '=' is a word of its own.
            [[ ${COMP_WORDS[index + 1]} == = ]] && ((index++))
            ((index++))
            value=${COMP_WORDS[index]//[\"\'\\]/}
            [[ $word == --@(state|root) ]] && place+=("$word" "${value/#\~/$HOME}")
            ;;
        -*) ;;
        *)
            if [[ -z $command ]]; then
                command=$word
            elif [[ $command == ext && -z $verb ]]; then
                verb=$word
            else
                ((given++))
            fi
            ;;
        esac
    done
    # The last option's value is being typed, or another option.
    [[ $index -gt $COMP_CWORD || $2 == -* ]] && return
    case $command in
    @ONE@) ((given)) && value= || value=yes ;;
    @MANY@) value=yes ;;
    ext)
        list=(ext list)
        case $verb in
        add | info) list=(ext search --offline) value=yes ;;
        @EXTENSIONS@) value=yes ;;
        *) return ;;
        esac
        ;;
    *) return ;;
    esac
    if [[ $verb == @(check|add) ]]; then
        # Where it is no name, it may be a file.
        word=$("$1" ${place[@]+"${place[@]}"} "${list[@]}" --names 2>/dev/null)
        COMPREPLY=($(compgen -W "$word" -- "$2"))
        return
    fi
    compopt +o default +o bashdefault 2>/dev/null
    COMPREPLY=()
    [[ $value ]] || return
    COMPREPLY=($(compgen -W "$("$1" ${place[@]+"${place[@]}"} "${list[@]}" --names 2>/dev/null)" -- "$2"))
}
complete -o bashdefault -o default -F _onlay_names onlay
