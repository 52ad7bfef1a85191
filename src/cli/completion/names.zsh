
# What stands before the cursor, word by word.
_onlay_typed() {
    typed=("${(@Q)${(z)LBUFFER}}")
    [[ $LBUFFER == *[[:space:]] ]] && typed+=('')
}

# Names of overlays; none for who may not list them.
(( $+functions[_onlay_names] )) ||
_onlay_names() {
    local -a typed place names expl
    _onlay_typed
    local index=${typed[(I)--state]}
    if (( ${typed[(I)--]} )); then
        _onlay_command
        return
    elif (( index )); then
        place=(--state ${~typed[index + 1]})
    elif (( index = ${typed[(I)--state=*]} )); then
        place=(--state ${~${typed[index]#--state=}})
    fi
    names=(${(f)"$(_call_program overlays $service ${(q)place} list --names 2>/dev/null)"})
    _wanted overlays expl overlay compadd -a names
}

# The command that is to run inside, which comes after '--'.
(( $+functions[_onlay_command] )) ||
_onlay_command() {
    local -a typed
    _onlay_typed
    local index=${typed[(i)--]}
    (( index < $#typed )) || return 1
    words=("${(@)typed[index + 1,-1]}")
    CURRENT=$#words
    _normal
}
